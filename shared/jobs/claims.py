"""What a worker must hold to work on a job: a lease that ends by itself, and a fence that others overtake.

An attempt is counted when it is claimed, so that a worker which dies without a word has used one up.
Everything here locks the job's row first and the chunk's second.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, func, select, text, true, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from shared.database.now import database_now
from shared.jobs.ending import end_job
from shared.jobs.expiry import expire, is_in_time, is_late
from shared.jobs.job import ChunkSource, ChunkStatus, JobError, JobStatus, Priority, RowCounts
from shared.jobs.order import Order, order_of
from shared.jobs.tables import ChunkRow, JobRow
from shared.settings import Settings

_WORKER_LOST = JobError(
    code="worker_lost",
    message="the worker that held this work stopped without a word, again and again",
)
_VERSION_DELETED = JobError(
    code="version_deleted", message="the model version was deleted before the job ended"
)


class StepClaim(msgspec.Struct, frozen=True, kw_only=True):
    """The right to plan a job (`validating`) or to finish it (`finalizing`).

    Attributes:
        early: taken while the job's chunks still ran, which may go on.
    """

    status: JobStatus
    fence: int
    attempt: int  # from 1
    order: Order
    early: bool = False

    @property
    def job_id(self) -> UUID:
        """Of the job."""
        return self.order.job_id

    @property
    def held_in(self) -> frozenset[JobStatus]:
        """Where the job may be while the claim holds."""
        return frozenset({self.status, JobStatus.RUNNING}) if self.early else frozenset({self.status})


class ChunkClaim(msgspec.Struct, frozen=True, kw_only=True):
    """The right to run a chunk."""

    index: int
    fence: int
    attempt: int  # from 1
    file: int = 0  # which of the job's files the order is for
    source: ChunkSource
    priority: Priority
    order: Order

    @property
    def job_id(self) -> UUID:
        """Of the job."""
        return self.order.job_id


Claim = StepClaim | ChunkClaim


async def claim_step(
    session: AsyncSession, job_id: UUID, status: JobStatus, *, settings: Settings
) -> StepClaim | None:
    """Take the job for the step that its `status` asks for.

    Returns:
        None where there is nothing to do: the job is elsewhere, or another worker's.
    """
    job = await lock_job(session, job_id)
    now = await database_now(session)
    if job is None or job.status != status or is_held(job.lease_until, now):
        return None
    if is_late(job, now):
        await expire(session, job, settings=settings)
        return None
    order = await _order_for(session, job, None, settings=settings, last_error=None)
    if order is None:
        return None
    job.fence += 1
    job.attempts += 1
    job.lease_until = now + timedelta(seconds=settings.lease_s)
    return StepClaim(status=status, fence=job.fence, attempt=job.attempts, order=order)


async def claim_chunk(
    session: AsyncSession, job_id: UUID, index: int | None = None, *, settings: Settings
) -> ChunkClaim | None:
    """Take a chunk to run it.

    Args:
        index: which; None: the first that is free.

    Returns:
        None where there is nothing to do: it is done, another worker's, or the job has ended.
    """
    job = await lock_job(session, job_id)
    if job is None or job.status not in (JobStatus.QUEUED, JobStatus.RUNNING):
        return None
    found = await _lock_chunk(session, job_id, index)
    if found is None:
        return None
    chunk, now = found
    if chunk.status == ChunkStatus.DONE or is_held(chunk.lease_until, now):
        return None
    if is_late(job, now):
        await expire(session, job, settings=settings)
        return None
    last_error = msgspec.convert(chunk.error, JobError) if chunk.error else None
    order = await _order_for(session, job, chunk, settings=settings, last_error=last_error)
    if order is None:
        return None
    _start(job, chunk, now=now, settings=settings)
    return ChunkClaim(
        index=chunk.index,
        fence=chunk.fence,
        attempt=chunk.attempts,
        file=chunk.file,
        source=msgspec.convert(chunk.source, ChunkSource),
        priority=Priority(job.priority),
        order=order,
    )


async def renew_step(session: AsyncSession, claim: StepClaim, *, settings: Settings) -> bool:
    """Hold on to the job for another while; False where it was lost, cancelled or has expired."""
    renewed = await session.scalar(
        update(JobRow)
        .where(JobRow.id == claim.job_id, JobRow.status.in_(claim.held_in), JobRow.fence == claim.fence)
        .where(is_in_time())
        .values(lease_until=func.now() + timedelta(seconds=settings.lease_s))
        .returning(JobRow.id)
    )
    return renewed is not None


async def renew_chunk(
    session: AsyncSession, claim: ChunkClaim, *, rows: RowCounts, settings: Settings
) -> bool:
    """Hold on to the chunk for another while; False where it was lost or the job has ended."""
    is_running = select(JobRow.id).where(
        JobRow.id == claim.job_id, JobRow.status == JobStatus.RUNNING, is_in_time()
    )
    renewed = await session.scalar(
        update(ChunkRow)
        .where(holds_chunk(claim), is_running.exists())
        .values(
            lease_until=func.now() + timedelta(seconds=settings.lease_s),
            rows_done=rows.done,
            rows_failed=rows.failed,
            counted_at=func.now(),
        )
        .returning(ChunkRow.index)
    )
    return renewed is not None


async def lock_job(session: AsyncSession, job_id: UUID) -> JobRow | None:
    """The job's row, which nobody else changes until the transaction ends."""
    return await session.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update())


def holds_chunk(claim: ChunkClaim) -> ColumnElement[bool]:
    """The condition that nobody has claimed the chunk since."""
    return (
        (ChunkRow.job_id == claim.job_id)
        & (ChunkRow.index == claim.index)
        & (ChunkRow.fence == claim.fence)
        & (ChunkRow.status == ChunkStatus.RUNNING)
    )


def is_free(lease_until: InstrumentedAttribute[datetime | None]) -> ColumnElement[bool]:
    """The condition that nobody holds what has this lease."""
    return func.coalesce(lease_until <= func.now(), true())


async def _lock_chunk(
    session: AsyncSession, job_id: UUID, index: int | None
) -> Row[ChunkRow, datetime] | None:
    """The chunk, and what time it is."""
    query = select(ChunkRow, func.now()).where(ChunkRow.job_id == job_id)
    if index is not None:
        query = query.where(ChunkRow.index == index).with_for_update()
    else:
        free = query.where(text("chunks.status <> 'done'"), is_free(ChunkRow.lease_until))
        query = free.order_by(ChunkRow.index).limit(1).with_for_update(skip_locked=True)
    return (await session.execute(query)).one_or_none()


def is_held(lease_until: datetime | None, now: datetime) -> bool:
    """Whether somebody works on what has this lease."""
    return lease_until is not None and lease_until > now


async def _order_for(
    session: AsyncSession,
    job: JobRow,
    chunk: ChunkRow | None,
    *,
    settings: Settings,
    last_error: JobError | None,
) -> Order | None:
    """What to work on, unless that is hopeless: then the job fails here."""
    attempts = chunk.attempts if chunk else job.attempts
    order = await order_of(session, job, file=chunk.file if chunk else None)
    if order is not None and attempts < settings.chunk_attempts:
        return order
    error = _VERSION_DELETED if order is None else last_error or _WORKER_LOST
    # The scheduler asks for the delivery: claims send no messages.
    await end_job(session, job, JobStatus.FAILED, settings=settings, error=error)
    return None


def _start(job: JobRow, chunk: ChunkRow, *, now: datetime, settings: Settings) -> None:
    if job.status == JobStatus.QUEUED:
        job.status, job.started_at = JobStatus.RUNNING, now
    job.claimed_at = now
    chunk.status = ChunkStatus.RUNNING
    chunk.fence += 1
    chunk.attempts += 1
    chunk.rows_done = chunk.rows_failed = 0
    chunk.started_at = chunk.counted_at = now
    chunk.lease_until = now + timedelta(seconds=settings.lease_s)
