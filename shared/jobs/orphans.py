"""Which objects below the keys of jobs are nobody's. What an ended job still needs: see `left_over.py`."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.left_over import left_over_of
from shared.jobs.tables import JobRow

PREFIX = "jobs"


async def orphans_of_jobs(session: AsyncSession, keys: Iterable[str]) -> set[str]:
    """Those of these keys that belong to no job, or to one that was swept and has no use for them.

    A job that is under way, or not swept yet, has its own ways to remove what it does not need.
    """
    owners = {key: job_id for key in keys if (job_id := _job_of(key)) is not None}
    query = select(JobRow).where(JobRow.id.in_(set(owners.values())))
    jobs = {job.id: job for job in await session.scalars(query)}
    swept = {job.id: await left_over_of(session, job) for job in jobs.values() if job.swept_at is not None}
    return {
        key
        for key, job_id in owners.items()
        if job_id not in jobs or (job_id in swept and not swept[job_id].is_useful(key))
    }


def _job_of(key: str) -> UUID | None:
    """None: not a key of ours, so none of our business."""
    try:
        return UUID(key.removeprefix(f"{PREFIX}/").partition("/")[0])
    except ValueError:
        return None
