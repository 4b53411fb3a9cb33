"""Finding jobs, and adding up their chunks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Select, and_, cast, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.grants import granted_models, is_granted
from shared.database.now import database_now
from shared.ids import parse_id
from shared.jobs.errors import JobNotFound
from shared.jobs.job import ChunkStatus, JobStatus
from shared.jobs.progress import MOST_SPANS, Progress, Span
from shared.jobs.tables import ChunkRow, JobRow


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which of a tenant's jobs are wanted; None: any.

    Attributes:
        model: id or name.
        schedule_id: of the one that submitted them.
        before: only jobs submitted before the one with this id.
    """

    status: JobStatus | None = None
    model: str | None = None
    schedule_id: UUID | None = None
    before: UUID | None = None


def jobs_of(tenant_id: UUID) -> ColumnElement[bool]:
    """The condition that a row of `jobs` is the tenant's, and of a model granted to whoever acts."""
    return and_(JobRow.tenant_id == tenant_id, is_granted(JobRow.model_id, granted_models()))


def granted_jobs() -> Select[UUID] | None:
    """The ids of jobs that whoever acts may see; None: all of their tenant's."""
    granted = granted_models()
    return None if granted is None else select(JobRow.id).where(is_granted(JobRow.model_id, granted))


async def find_job(session: AsyncSession, tenant_id: UUID, job: str, *, lock: bool = False) -> JobRow:
    """The tenant's job of that id, the platform's or the one that its owner chose.

    Raises:
        JobNotFound: there is none, or it is another tenant's.
    """
    job_id = parse_id(job)
    if job_id is None:
        raise JobNotFound(job)
    is_called = or_(JobRow.id == job_id, JobRow.client_id == job_id)
    query = select(JobRow).where(jobs_of(tenant_id), is_called, JobRow.deleted_at.is_(None))
    row = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise JobNotFound(job)
    return row


async def list_jobs(
    session: AsyncSession, tenant_id: UUID, wanted: JobFilter, *, limit: int
) -> Sequence[JobRow]:
    """Up to `limit` of the tenant's jobs, the newest first."""
    query = select(JobRow).where(jobs_of(tenant_id), JobRow.deleted_at.is_(None))
    if wanted.status is not None:
        query = query.where(JobRow.status == wanted.status)
    if wanted.model is not None:
        model_id = parse_id(wanted.model)
        query = query.where(
            JobRow.model_name == wanted.model if model_id is None else JobRow.model_id == model_id
        )
    if wanted.schedule_id is not None:
        query = query.where(JobRow.schedule_id == wanted.schedule_id)
    if wanted.before is not None:
        query = query.where(JobRow.id < wanted.before)
    return (await session.scalars(query.order_by(JobRow.id.desc()).limit(limit))).all()


async def progress_of(session: AsyncSession, jobs: Sequence[JobRow]) -> dict[UUID, Progress]:
    """The progress of each job, by its id."""
    is_done = ChunkRow.status == ChunkStatus.DONE
    size = _size_bytes()
    rows = await session.execute(
        select(
            ChunkRow.job_id,
            func.sum(ChunkRow.rows_done),
            func.coalesce(func.sum(ChunkRow.rows_done + ChunkRow.rows_failed).filter(is_done), 0),
            func.coalesce(func.sum(size).filter(is_done) / func.nullif(func.sum(size), 0), 0),
            func.sum(ChunkRow.rows_failed),
        )
        .where(ChunkRow.job_id.in_([job.id for job in jobs]))
        .group_by(ChunkRow.job_id)
    )
    sums = {job_id: values for job_id, *values in rows}
    spans = await _spans(session, [job.id for job in jobs if job.status == JobStatus.RUNNING])
    at = await database_now(session)
    return {job.id: _progress(sums.get(job.id, [0, 0, 0, 0]), spans.get(job.id, ()), at) for job in jobs}


def _size_bytes() -> ColumnElement[int]:
    """Of a chunk of CSV; NULL for Parquet, whose rows are counted beforehand."""
    return cast(ChunkRow.source["end"].astext, BigInteger) - cast(ChunkRow.source["start"].astext, BigInteger)


async def _spans(session: AsyncSession, job_ids: Sequence[UUID]) -> dict[UUID, list[Span]]:
    if not job_ids:
        return {}
    place = func.row_number().over(partition_by=ChunkRow.job_id, order_by=ChunkRow.counted_at.desc())
    counted = (
        select(
            ChunkRow.job_id,
            ChunkRow.started_at,
            ChunkRow.counted_at,
            (ChunkRow.rows_done + ChunkRow.rows_failed).label("rows"),
            place.label("n"),
        )
        .where(ChunkRow.job_id.in_(job_ids), ChunkRow.counted_at.is_not(None))
        .subquery()
    )
    found: dict[UUID, list[Span]] = {}
    for job_id, start, end, rows, _ in await session.execute(
        select(counted).where(counted.c.n <= MOST_SPANS)
    ):
        found.setdefault(job_id, []).append(Span(start, end, rows))
    return found


def _progress(sums: Sequence[Any], spans: Sequence[Span], at: datetime) -> Progress:
    rows_done, rows_finished, share, rows_failed = sums
    return Progress(
        rows_done=int(rows_done),
        rows_failed=int(rows_failed),
        rows_finished=int(rows_finished),
        finished_share=float(share),
        spans=spans,
        at=at,
    )
