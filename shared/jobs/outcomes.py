"""What comes of a claim: a plan, a part, a result, a failure. Each is written only by who still holds it.

Each function returns what to send after the commit; those that publish return None where the claim
was lost meanwhile, and what was written to storage is nobody's.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.now import database_now
from shared.jobs.chunk_hints import MOST_HINTS, chunk_hints, hints_after_chunk
from shared.jobs.claims import ChunkClaim, Claim, StepClaim, holds_chunk, is_held, lock_job
from shared.jobs.ending import end_job
from shared.jobs.fetched_input import FetchedInput
from shared.jobs.hints import Hint
from shared.jobs.job import (
    ENDED,
    ChunkStatus,
    ErrorsFormat,
    JobError,
    JobStatus,
    PlannedChunk,
    Priority,
    RowCounts,
    errors_key,
    errors_part_key,
    head_key,
    part_key,
    result_key,
)
from shared.jobs.tables import ChunkRow, JobRow
from shared.messaging.actors import FINISH_JOB, PLAN_JOB
from shared.settings import Settings
from shared.storage.object_files import Written


class ErrorsPart(msgspec.Struct, frozen=True):
    """Where the errors of one chunk lie, and how many rows of the input come before it.

    Attributes:
        file: which of the job's files it is of.
        file_row: how many rows of that file come before it.
    """

    key: str
    first_row: int
    file: int = 0
    file_row: int = 0


async def record_plan(
    session: AsyncSession,
    claim: StepClaim,
    chunks: Sequence[PlannedChunk],
    *,
    text_key: str | None = None,
    fetched: FetchedInput | None = None,
    head: Written | None = None,
) -> list[Hint] | None:
    """Queue the chunks. A job without any rows goes on to its end at once.

    Args:
        text_key: what the chunks are cut from, if not the input itself.
        fetched: the input, if it had to be fetched for that.
        head: the line that the output begins with, if it has one.
    """
    job = await _held_job(session, claim)
    if job is None:
        return None
    job.text_key = text_key
    if fetched is not None:
        fetched.describe(job)
    if head is not None:
        job.head = {"key": head_key(job.id, fence=claim.fence), **msgspec.to_builtins(head)}
    now = await database_now(session)
    counts = [chunk.rows for chunk in chunks if chunk.rows is not None]
    job.rows_total = sum(counts) if len(counts) == len(chunks) else None
    job.queued_at = now
    session.add_all(_chunk_row(job, index, chunk, now) for index, chunk in enumerate(chunks))
    if not chunks:
        job.started_at = now
        return [_start_finishing(job, now)]
    _next_step(job, JobStatus.QUEUED, now)
    return chunk_hints(Priority(job.priority), len(chunks))


async def record_part(
    session: AsyncSession, claim: ChunkClaim, *, rows: RowCounts, size_bytes: int
) -> list[Hint] | None:
    """Publish the part of a chunk. The last of a job's chunks sends it on to its end."""
    job = await lock_job(session, claim.job_id)
    if job is None or job.status != JobStatus.RUNNING:
        return None
    published = await session.scalar(
        update(ChunkRow)
        .where(holds_chunk(claim))
        .values(
            status=ChunkStatus.DONE,
            part_key=part_key(claim.job_id, claim.index, fence=claim.fence),
            part_size_bytes=size_bytes,
            rows_done=rows.done,
            rows_failed=rows.failed,
            rows_total=rows.done + rows.failed,
            counted_at=func.now(),
            lease_until=None,
            error=None,
        )
        .returning(ChunkRow.index)
    )
    if published is None:
        return None
    unfinished = await _unfinished_chunks(session, job)
    if unfinished:
        return hints_after_chunk(Priority(job.priority), unfinished)
    job.rows_total = await _rows_settled(session, job)
    return [_start_finishing(job, await database_now(session))]


async def record_result(
    session: AsyncSession,
    claim: StepClaim,
    written: Written,
    *,
    errors: Mapping[ErrorsFormat, Written] | None = None,
    settings: Settings,
) -> list[Hint] | None:
    """Publish the result, and the errors of a job that skips rows: it has succeeded."""
    job = await _held_job(session, claim)
    if job is None:
        return None
    job.result_key = result_key(job.id, fence=claim.fence)
    job.result_size_bytes, job.result_digest = written.size_bytes, written.digest
    if errors is not None:
        job.errors_files = {
            kind: {"key": errors_key(job.id, kind, fence=claim.fence), **msgspec.to_builtins(file)}
            for kind, file in errors.items()
        }
    return await end_job(session, job, JobStatus.SUCCEEDED, settings=settings)


async def record_failure(
    session: AsyncSession, claim: Claim, error: JobError, *, settings: Settings
) -> list[Hint]:
    """The work cannot be done, now or later: the job has failed. Nothing if the claim was lost.

    Of joining that was only tried early nothing follows: who finishes the job will see.
    """
    job = await _locked_by(session, claim)
    if job is None and isinstance(claim, StepClaim) and claim.early:
        return await _give_back(session, claim, attempts=claim.attempt, error=None)
    if job is None:
        return []
    if isinstance(claim, ChunkClaim):  # so that nobody waits for its lease, to sweep up
        await session.execute(update(ChunkRow).where(holds_chunk(claim)).values(lease_until=None))
    return await end_job(session, job, JobStatus.FAILED, settings=settings, error=error)


async def record_setback(
    session: AsyncSession, claim: Claim, error: JobError, *, settings: Settings
) -> list[Hint]:
    """The attempt failed and the next may succeed. The last one fails the job."""
    if claim.attempt >= settings.chunk_attempts:
        return await record_failure(session, claim, error, settings=settings)
    return await _give_back(session, claim, attempts=claim.attempt, error=error)


async def hand_back(session: AsyncSession, claim: Claim) -> list[Hint]:
    """Somebody else shall do it: this worker is stopping, and the attempt does not count."""
    return await _give_back(session, claim, attempts=claim.attempt - 1, error=None)


async def part_keys(session: AsyncSession, job_id: UUID) -> list[str]:
    """Where the parts of a job lie, in the order of the input."""
    query = select(ChunkRow.part_key).where(ChunkRow.job_id == job_id).order_by(ChunkRow.index)
    return [key for key in await session.scalars(query) if key is not None]


async def errors_parts(session: AsyncSession, job_id: UUID) -> list[ErrorsPart]:
    """Where the errors of a job's chunks lie, in the order of the input."""
    query = select(ChunkRow).where(ChunkRow.job_id == job_id).order_by(ChunkRow.index)
    return errors_of(await session.scalars(query))


def errors_of(chunks: Iterable[ChunkRow]) -> list[ErrorsPart]:
    """The same, of the first chunks of the input."""
    parts, before = [], 0
    starts: dict[int, int] = {}  # of each file, how many rows come before it
    for chunk in chunks:
        start = starts.setdefault(chunk.file, before)
        if chunk.rows_failed and chunk.part_key:
            key = errors_part_key(chunk.part_key)
            parts.append(ErrorsPart(key, before, chunk.file, before - start))
        before += chunk.rows_done + chunk.rows_failed
    return parts


def _chunk_row(job: JobRow, index: int, chunk: PlannedChunk, now: datetime) -> ChunkRow:
    return ChunkRow(
        job_id=job.id,
        index=index,
        file=chunk.file,
        source=msgspec.to_builtins(chunk.source),
        status=ChunkStatus.PENDING,
        rows_total=chunk.rows,
        sent_at=now,
    )


def _start_finishing(job: JobRow, now: datetime) -> Hint:
    if job.status == JobStatus.RUNNING and is_held(job.lease_until, now):  # by who joined early, and goes on
        job.status, job.sent_at = JobStatus.FINALIZING, now
    else:
        _next_step(job, JobStatus.FINALIZING, now)
    job.finalizing_at = now
    return FINISH_JOB, (job.id,)


def _next_step(job: JobRow, status: JobStatus, now: datetime) -> None:
    job.status = status
    job.attempts, job.lease_until, job.sent_at = 0, None, now


async def _held_job(session: AsyncSession, claim: StepClaim) -> JobRow | None:
    """The job, locked, if the claim still holds."""
    job = await lock_job(session, claim.job_id)
    return job if job and (job.status, job.fence) == (claim.status, claim.fence) else None


async def _locked_by(session: AsyncSession, claim: Claim) -> JobRow | None:
    if isinstance(claim, StepClaim):
        return await _held_job(session, claim)
    job = await lock_job(session, claim.job_id)
    held = await session.scalar(select(ChunkRow.index).where(holds_chunk(claim)))
    return job if job and job.status not in ENDED and held is not None else None


async def _give_back(
    session: AsyncSession, claim: Claim, *, attempts: int, error: JobError | None
) -> list[Hint]:
    if isinstance(claim, ChunkClaim):
        return await _give_chunk_back(session, claim, attempts=attempts, error=error)
    job = await lock_job(session, claim.job_id)
    if job is None or job.fence != claim.fence or job.status not in claim.held_in:
        return []
    job.attempts, job.lease_until = attempts, None
    if job.status == JobStatus.RUNNING:  # nobody need be asked before the last chunk is done
        return []
    job.sent_at = await database_now(session)
    return [(PLAN_JOB if claim.status == JobStatus.VALIDATING else FINISH_JOB, (job.id,))]


async def _give_chunk_back(
    session: AsyncSession, claim: ChunkClaim, *, attempts: int, error: JobError | None
) -> list[Hint]:
    given_back = await session.scalar(
        update(ChunkRow)
        .where(holds_chunk(claim))
        .values(
            status=ChunkStatus.PENDING,
            attempts=attempts,
            lease_until=None,
            rows_done=0,
            rows_failed=0,
            sent_at=func.now(),
            error=msgspec.to_builtins(error) if error else None,
        )
        .returning(ChunkRow.index)
    )
    return [] if given_back is None else chunk_hints(claim.priority, 1)


async def _unfinished_chunks(session: AsyncSession, job: JobRow) -> int:
    """How many; counted up to MOST_HINTS."""
    unfinished = select(ChunkRow.index).where(ChunkRow.job_id == job.id, text("chunks.status <> 'done'"))
    some = unfinished.limit(MOST_HINTS).subquery()
    return await session.scalar(select(func.count()).select_from(some)) or 0


async def _rows_settled(session: AsyncSession, job: JobRow) -> int:
    query = select(func.sum(ChunkRow.rows_done + ChunkRow.rows_failed)).where(ChunkRow.job_id == job.id)
    return int(await session.scalar(query) or 0)
