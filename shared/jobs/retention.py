"""How long jobs are kept after their end: first their files go, then they do. The database's clock counts."""

from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from shared.database.now import database_now
from shared.jobs.errors import JobNotEnded
from shared.jobs.hints import Hint
from shared.jobs.job import ENDED
from shared.jobs.tables import JobRow
from shared.messaging.actors import FINISH_JOB
from shared.settings import Settings

MAX_OUTLIVED = 100  # jobs of each kind that one look takes


async def end_retention(session: AsyncSession, settings: Settings) -> list[Hint]:
    """Mark the jobs whose files, or which themselves, have been kept for long enough. Workers remove them.

    Returns:
        What to send after the commit; what is lost of it is asked for again as any sweeping is.
    """
    return [
        *await _outlived(session, JobRow.files_removed_at, settings.job_retention_days),
        *await _outlived(session, JobRow.deleted_at, settings.job_record_days),
    ]


async def delete_job(session: AsyncSession, job: JobRow) -> list[Hint]:
    """Hide a job that has ended, for its files and itself to be removed. Its row is locked.

    Returns:
        What to send after the commit.

    Raises:
        JobNotEnded: it still runs.
    """
    if job.status not in ENDED:
        raise JobNotEnded(f"the job is {job.status}: cancel it first")
    now = await database_now(session)
    job.deleted_at, job.swept_at, job.sent_at = now, None, now
    job.client_id = job.idempotency_key = None  # the next of that name is another
    return [(FINISH_JOB, (job.id,))]


async def _outlived(
    session: AsyncSession, mark: InstrumentedAttribute[datetime | None], days: int
) -> list[Hint]:
    if not days:
        return []
    found = (
        select(JobRow.id)
        .where(JobRow.ended_at < func.now() - timedelta(days=days), mark.is_(None))
        .order_by(JobRow.ended_at)
        .limit(MAX_OUTLIVED)
        .with_for_update(skip_locked=True)
    )
    marked = await session.scalars(
        update(JobRow)
        .where(JobRow.id.in_(found))
        .values({mark: func.now(), JobRow.swept_at: None, JobRow.sent_at: func.now()})
        .returning(JobRow.id)
    )
    return [(FINISH_JOB, (job_id,)) for job_id in marked]
