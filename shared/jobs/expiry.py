"""Jobs that may take no longer than their owner has said. The database's clock counts."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.now import database_now
from shared.jobs.ending import end_job
from shared.jobs.hints import Hint
from shared.jobs.job import JobError, JobStatus
from shared.jobs.tables import JobRow
from shared.settings import Settings

MAX_EXPIRED = 100  # jobs that one look ends


async def start_clock(session: AsyncSession, job: JobRow, expires_after_s: float | None) -> None:
    """Give the job so long from now; None: as long as it takes."""
    job.expires_after_s = expires_after_s
    if expires_after_s is None:
        job.expires_at = None
    else:
        job.expires_at = await database_now(session) + timedelta(seconds=expires_after_s)


def is_in_time() -> ColumnElement[bool]:
    """The condition that the job may go on, for those who hold it."""
    return or_(JobRow.expires_at.is_(None), JobRow.expires_at > func.now())


def is_late(job: JobRow, now: datetime) -> bool:
    """Whether the job has had its time."""
    return job.expires_at is not None and job.expires_at <= now


async def expire(session: AsyncSession, job: JobRow, *, settings: Settings) -> list[Hint]:
    """End a job that has had its time. The caller has locked its row and knows that it had not ended."""
    message = f"the job was not finished within the {job.expires_after_s:g} seconds that it was given"
    error = JobError(code="expired", message=message)
    return await end_job(session, job, JobStatus.EXPIRED, settings=settings, error=error)


async def expire_late_jobs(session: AsyncSession, settings: Settings) -> tuple[list[UUID], list[Hint]]:
    """End the jobs that have had their time, whether somebody works on them or not.

    Returns:
        Which those are, to be announced, and what to send: both after the commit.
    """
    late = await session.scalars(
        select(JobRow)
        .where(JobRow.ended_at.is_(None), JobRow.expires_at <= func.now())
        .order_by(JobRow.expires_at)
        .limit(MAX_EXPIRED)
        .with_for_update(skip_locked=True)
    )
    jobs = late.all()
    hints = [hint for job in jobs for hint in await expire(session, job, settings=settings)]
    return [job.id for job in jobs], hints
