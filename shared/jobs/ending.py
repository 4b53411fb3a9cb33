"""How a job ends: its state, its time, and the event about it, in one transaction."""

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.now import database_now
from shared.jobs.hints import Hint
from shared.jobs.job import JobError, JobStatus
from shared.jobs.lookup import progress_of
from shared.jobs.tables import JobRow
from shared.jobs.view import job_view
from shared.messaging.actors import DELIVER
from shared.settings import Settings
from shared.webhooks.service import record_event


async def end_job(
    session: AsyncSession,
    job: JobRow,
    status: JobStatus,
    *,
    settings: Settings,
    error: JobError | None = None,
) -> list[Hint]:
    """Bring a job to its end. The caller has locked its row and knows that it had not ended.

    Returns:
        What to send after the commit.
    """
    now = await database_now(session)
    job.status = status
    job.ended_at = now
    setattr(job, f"{status}_at", now)
    job.lease_until = None
    job.error = msgspec.to_builtins(error) if error else None
    await session.flush()
    if job.callback_url is None:
        return []
    progress = await progress_of(session, [job])
    delivery = await record_event(
        session,
        tenant_id=job.tenant_id,
        job_id=job.id,
        url=job.callback_url,
        event_type=f"job.{status}",
        data=msgspec.to_builtins(job_view(job, progress[job.id], public_url=settings.public_url)),
    )
    return [(DELIVER, (delivery.id,))]
