"""How a job that has ended without success goes on: from where it stopped."""

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.now import database_now
from shared.jobs.chunk_hints import chunk_hints
from shared.jobs.errors import JobEnded, JobNotEnded, VersionDeleted
from shared.jobs.expiry import start_clock
from shared.jobs.hints import Hint
from shared.jobs.job import ENDED, ChunkStatus, JobStatus, Priority
from shared.jobs.order import order_of
from shared.jobs.result import check_kept
from shared.jobs.tables import ChunkRow, JobRow
from shared.messaging.actors import FINISH_JOB, PLAN_JOB


async def retry_job(session: AsyncSession, job: JobRow) -> list[Hint]:
    """Send the job on: its chunks that are done stay so, the others get fresh attempts. Its row is locked.

    Claims of before are void from here on, should somebody still hold one.

    Returns:
        What to send after the commit.

    Raises:
        JobNotEnded: it still runs.
        JobEnded: it has succeeded.
        ResultExpired: its input was removed.
        VersionDeleted: there is nothing to predict with.
    """
    await _check(session, job)
    await _forget_end(session, job)
    job.rows_kept = job.progress_told_rows = await _rows_kept(session, job)
    hints = await _next_step(session, job)
    await start_clock(session, job, job.expires_after_s)
    await session.flush()
    return hints


async def _check(session: AsyncSession, job: JobRow) -> None:
    if job.status not in ENDED:
        raise JobNotEnded(f"the job is {job.status}: it can be retried once it has ended without success")
    if job.status == JobStatus.SUCCEEDED:
        raise JobEnded("the job has succeeded: there is nothing left to retry")
    check_kept(job)
    if await order_of(session, job) is None:
        raise VersionDeleted(
            f"version {job.version_number} of {job.model_name!r} was deleted: send the file to another"
        )


async def _forget_end(session: AsyncSession, job: JobRow) -> None:
    now = await database_now(session)
    job.retries, job.retried_at = job.retries + 1, now
    job.failed_at = job.cancelled_at = job.expired_at = job.ended_at = job.swept_at = None
    job.queued_at = job.started_at = job.finalizing_at = job.progress_told_at = None
    job.error = job.lease_until = None
    job.result_key = job.result_size_bytes = job.result_digest = job.result_rows = job.errors_files = None
    job.fence, job.attempts, job.sent_at = job.fence + 1, 0, now


async def _rows_kept(session: AsyncSession, job: JobRow) -> int:
    settled = func.sum(ChunkRow.rows_done + ChunkRow.rows_failed)
    query = select(settled).where(ChunkRow.job_id == job.id, ChunkRow.status == ChunkStatus.DONE)
    return int(await session.scalar(query) or 0)


async def _next_step(session: AsyncSession, job: JobRow) -> list[Hint]:
    chunks = await session.scalar(select(func.count()).where(ChunkRow.job_id == job.id))
    if not chunks:  # never planned, or without rows: then that is soon found again
        job.status = JobStatus.VALIDATING
        return [(PLAN_JOB, (job.id,))]
    job.queued_at = job.retried_at
    waiting = await _begin_anew(session, job)
    if not waiting:
        job.status, job.started_at = JobStatus.FINALIZING, job.retried_at
        job.finalizing_at = job.retried_at
        return [(FINISH_JOB, (job.id,))]
    job.status = JobStatus.QUEUED
    return chunk_hints(Priority(job.priority), waiting)


async def _begin_anew(session: AsyncSession, job: JobRow) -> int:
    """Make every chunk that is not done like one that nobody has tried; how many those are."""
    begun = await session.scalars(
        update(ChunkRow)
        .where(ChunkRow.job_id == job.id, ChunkRow.status != ChunkStatus.DONE)
        .values(
            status=ChunkStatus.PENDING,
            attempts=0,
            lease_until=None,
            rows_done=0,
            rows_failed=0,
            started_at=None,
            counted_at=None,
            error=None,
            sent_at=func.now(),
        )
        .returning(ChunkRow.index)
    )
    return len(begun.all())
