"""Finding jobs, and adding up their chunks."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.now import database_now
from shared.ids import parse_id
from shared.jobs.errors import JobNotFound
from shared.jobs.job import ChunkStatus, JobStatus
from shared.jobs.progress import Progress
from shared.jobs.tables import ChunkRow, JobRow


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which of a tenant's jobs are wanted; None: any.

    Attributes:
        model: id or name.
        before: only jobs submitted before the one with this id.
    """

    status: JobStatus | None = None
    model: str | None = None
    before: UUID | None = None


async def find_job(session: AsyncSession, tenant_id: UUID, job: str, *, lock: bool = False) -> JobRow:
    """The tenant's job of that id.

    Raises:
        JobNotFound: there is none, or it is another tenant's.
    """
    query = select(JobRow).where(JobRow.tenant_id == tenant_id, JobRow.id == parse_id(job))
    row = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise JobNotFound(job)
    return row


async def list_jobs(
    session: AsyncSession, tenant_id: UUID, wanted: JobFilter, *, limit: int
) -> Sequence[JobRow]:
    """Up to `limit` of the tenant's jobs, the newest first."""
    query = select(JobRow).where(JobRow.tenant_id == tenant_id)
    if wanted.status is not None:
        query = query.where(JobRow.status == wanted.status)
    if wanted.model is not None:
        model_id = parse_id(wanted.model)
        query = query.where(
            JobRow.model_name == wanted.model if model_id is None else JobRow.model_id == model_id
        )
    if wanted.before is not None:
        query = query.where(JobRow.id < wanted.before)
    return (await session.scalars(query.order_by(JobRow.id.desc()).limit(limit))).all()


async def progress_of(session: AsyncSession, jobs: Sequence[JobRow]) -> dict[UUID, Progress]:
    """The progress of each job, by its id."""
    is_done = ChunkRow.status == ChunkStatus.DONE
    rows = await session.execute(
        select(
            ChunkRow.job_id,
            func.sum(ChunkRow.rows_done),
            func.coalesce(func.sum(ChunkRow.rows_done).filter(is_done), 0),
            func.count(),
            func.count().filter(is_done),
        )
        .where(ChunkRow.job_id.in_([job.id for job in jobs]))
        .group_by(ChunkRow.job_id)
    )
    sums = {job_id: [int(value) for value in values] for job_id, *values in rows}
    at = await database_now(session)
    return {job.id: _progress(sums.get(job.id, [0, 0, 0, 0]), at) for job in jobs}


def _progress(sums: list[int], at: datetime) -> Progress:
    rows_done, rows_finished, chunks, chunks_finished = sums
    return Progress(
        rows_done=rows_done,
        rows_finished=rows_finished,
        chunks=chunks,
        chunks_finished=chunks_finished,
        at=at,
    )
