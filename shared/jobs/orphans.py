"""Which objects below the keys of jobs are nobody's. What an ended job still needs: see `left_over.py`."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.job import JobStatus
from shared.jobs.tables import JobRow

PREFIX = "jobs"


async def orphans_of_jobs(session: AsyncSession, keys: Iterable[str]) -> set[str]:
    """Those of these keys that belong to no job, or to one that has succeeded and was swept without them.

    A job that is under way, may be retried, or is not swept yet has its own ways to remove what it does not
    need.
    """
    owners = {key: job_id for key in keys if (job_id := _job_of(key)) is not None}
    found = await session.scalars(select(JobRow).where(JobRow.id.in_(set(owners.values()))))
    jobs = {job.id: job for job in found}
    return {key for key, job_id in owners.items() if _is_orphan(key, job_id, jobs)}


def _is_orphan(key: str, job_id: UUID, jobs: Mapping[UUID, JobRow]) -> bool:
    job = jobs.get(job_id)
    if job is None:
        return True
    if job.status != JobStatus.SUCCEEDED or job.swept_at is None:
        return False
    errors = [file["key"] for file in (job.errors_files or {}).values()]
    what_a_caller_gave = key.startswith(f"{PREFIX}/{job_id}/input")
    return not what_a_caller_gave and key not in (job.result_key, *errors)


def _job_of(key: str) -> UUID | None:
    """None: not a key of ours, so none of our business."""
    try:
        return UUID(key.removeprefix(f"{PREFIX}/").partition("/")[0])
    except ValueError:
        return None
