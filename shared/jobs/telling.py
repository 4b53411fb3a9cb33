"""Events about jobs for who gave a `callback_url`: each end, and now and then how far a job is."""

from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.hints import Hint
from shared.jobs.job import JobStatus
from shared.jobs.lookup import progress_of
from shared.jobs.progress import Progress, expected_rows
from shared.jobs.tables import JobRow
from shared.jobs.view import job_view
from shared.messaging.actors import DELIVER
from shared.settings import Settings
from shared.webhooks.service import record_event

LEAST_S = 10  # between two events about the progress of a job
STEP = 0.1  # of all rows, that must have been done since the last
UNKNOWN_S = 60  # between two where nobody knows how many rows there are


async def tell(session: AsyncSession, job: JobRow, event_type: str, *, settings: Settings) -> list[Hint]:
    """Record an event about the job as it is now, if somebody is to be told; what to send then."""
    if job.callback_url is None:
        return []
    progress = await progress_of(session, [job])
    delivery = await record_event(
        session,
        tenant_id=job.tenant_id,
        job_id=job.id,
        url=job.callback_url,
        event_type=event_type,
        data=msgspec.to_builtins(job_view(job, progress[job.id], public_url=settings.public_url)),
    )
    return [(DELIVER, (delivery.id,))]


async def tell_progress(session: AsyncSession, job_id: UUID, *, settings: Settings) -> list[Hint]:
    """Record that the job gets on, if that is worth an event. Several workers may ask at once: one tells."""
    told_at = func.coalesce(JobRow.progress_told_at, JobRow.started_at)
    job = await session.scalar(
        select(JobRow)
        .where(JobRow.id == job_id, JobRow.status == JobStatus.RUNNING, JobRow.tells_progress)
        .where(told_at <= func.now() - timedelta(seconds=LEAST_S))
        .with_for_update(skip_locked=True)
    )
    if job is None:
        return []
    progress = (await progress_of(session, [job]))[job.id]
    if not is_worth_telling(job, progress):
        return []
    job.progress_told_at, job.progress_told_rows = progress.at, progress.rows_settled
    return await tell(session, job, "job.progress", settings=settings)


def is_worth_telling(job: JobRow, progress: Progress) -> bool:
    """Whether enough was done since the last event, of a job for which there has been none for LEAST_S."""
    new = progress.rows_settled - (job.progress_told_rows or 0)
    total = expected_rows(job, progress)
    if total is not None:
        return new > 0 and new >= STEP * total
    since = job.progress_told_at or job.started_at
    return new > 0 and since is not None and progress.at - since >= timedelta(seconds=UNKNOWN_S)
