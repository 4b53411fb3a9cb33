"""What is left to do when a job has ended: sweeping up."""

from uuid import UUID

from shared.jobs.left_over import LeftOver, find_left_over, record_sweep
from workers.jobs.context import JobContext


async def sweep(context: JobContext, job_id: UUID) -> None:
    """Remove what a job that has ended left in storage, but for what its owner or a retry may want."""
    async with context.database.transaction() as session:
        found = await find_left_over(session, job_id)
    if found is not None:
        await sweep_up(context, found)


async def sweep_up(context: JobContext, found: LeftOver) -> None:
    """The same, for what was found. Safe to repeat, and to do late."""
    await context.storage.delete_under(f"jobs/{found.job_id}", spare=found.is_useful)
    async with context.database.transaction() as session:
        await record_sweep(session, found)
