"""How a job ends: its state, its time, and the event about it, in one transaction."""

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.now import database_now
from shared.jobs.hints import Hint
from shared.jobs.job import JobError, JobStatus
from shared.jobs.tables import JobRow
from shared.jobs.telling import tell
from shared.messaging.actors import FINISH_JOB
from shared.settings import Settings

_EVENTS = {
    JobStatus.SUCCEEDED: "job.succeeded",
    JobStatus.FAILED: "job.failed",
    JobStatus.CANCELLED: "job.cancelled",
    JobStatus.EXPIRED: "job.failed",  # to who only asks whether there is a result; its error says `expired`
}


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
    job.attempts, job.lease_until = 0, None
    job.error = msgspec.to_builtins(error) if error else None
    await session.flush()
    told = await tell(session, job, _EVENTS[status], settings=settings)
    # Whoever has finished a job goes on by themselves; for another the message is sent.
    return told if status == JobStatus.SUCCEEDED else [(FINISH_JOB, (job.id,)), *told]
