"""Events about jobs, for `callback_url`s and endpoints: each end, and now and then how far a job is."""

from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.hints import Hint
from shared.jobs.job import JobStatus
from shared.jobs.lookup import progress_of
from shared.jobs.progress import Progress, expected_rows
from shared.jobs.tables import JobRow
from shared.jobs.view import job_view
from shared.messaging.actors import DELIVER
from shared.settings import Settings
from shared.webhooks.events import JOB_PROGRESS
from shared.webhooks.publishing import publish_event, wants_event
from shared.webhooks.service import record_event

LEAST_S = 10  # between two events about the progress of a job
STEP = 0.1  # of all rows, that must have been done since the last
UNKNOWN_S = 60  # between two where nobody knows how many rows there are


async def tell(session: AsyncSession, job: JobRow, event_type: str, *, settings: Settings) -> list[Hint]:
    """Record an event about the job as it is now, for each who is to be told; what to send then."""
    address = job.callback_url if event_type != JOB_PROGRESS or job.tells_progress else None
    if address is None and not await session.scalar(
        select(exists().where(wants_event(job.tenant_id, event_type)))
    ):
        return []
    progress = await progress_of(session, [job])
    data = msgspec.to_builtins(job_view(job, progress[job.id], public_url=settings.public_url))
    about = {"tenant_id": job.tenant_id, "job_id": job.id, "event_type": event_type, "data": data}
    told = await publish_event(session, **about)
    if address is not None:
        told.append((await record_event(session, url=address, **about)).id)
    return [(DELIVER, (delivery_id,)) for delivery_id in told]


async def tell_progress(session: AsyncSession, job_id: UUID, *, settings: Settings) -> list[Hint]:
    """Record that the job gets on, if that is worth an event. Several workers may ask at once: one tells."""
    told_at = func.coalesce(JobRow.progress_told_at, JobRow.started_at)
    is_followed = exists().where(wants_event(JobRow.tenant_id, JOB_PROGRESS))
    job = await session.scalar(
        select(JobRow)
        .where(JobRow.id == job_id, JobRow.status == JobStatus.RUNNING)
        .where(or_(JobRow.tells_progress, is_followed))
        .where(told_at <= func.now() - timedelta(seconds=LEAST_S))
        .with_for_update(skip_locked=True)
    )
    if job is None:
        return []
    progress = (await progress_of(session, [job]))[job.id]
    if not is_worth_telling(job, progress):
        return []
    job.progress_told_at, job.progress_told_rows = progress.at, progress.rows_settled
    return await tell(session, job, JOB_PROGRESS, settings=settings)


def is_worth_telling(job: JobRow, progress: Progress) -> bool:
    """Whether enough was done since the last event, of a job for which there has been none for LEAST_S."""
    new = progress.rows_settled - (job.progress_told_rows or 0)
    total = expected_rows(job, progress)
    if total is not None:
        return new > 0 and new >= STEP * total
    since = job.progress_told_at or job.started_at
    return new > 0 and since is not None and progress.at - since >= timedelta(seconds=UNKNOWN_S)
