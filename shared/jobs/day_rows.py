"""The rows of jobs as they count against their tenant's day.

Where the plan tells how many rows there are, they count when the job is planned, all of them or none. Text
does not tell before it was read: there the rows of each chunk count when its part is published. What was
counted stays so, whatever becomes of the job; a retry counts only what it predicts.
"""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.claims import ChunkClaim, StepClaim
from shared.jobs.hints import Hint
from shared.jobs.job import RowCounts
from shared.jobs.outcomes import record_part
from shared.jobs.tables import JobRow
from shared.quotas.days import count_job_rows
from shared.settings import Settings


async def count_planned_rows(session: AsyncSession, claim: StepClaim, *, settings: Settings) -> None:
    """Count the rows of a job whose plan has just been recorded.

    Raises:
        RowsQuotaExceeded: its tenant may not predict so many more today.
    """
    job = await session.get_one(JobRow, claim.job_id)
    await count_job_rows(session, job.tenant_id, job.rows_total or 0, settings=settings)


async def record_counted_part(
    session: AsyncSession, claim: ChunkClaim, *, rows: RowCounts, size_bytes: int, settings: Settings
) -> list[Hint] | None:
    """Publish the part of a chunk, and count its rows if the plan did not know them.

    Raises:
        RowsQuotaExceeded: the job's tenant may not predict so many more today.
    """
    query = select(JobRow.tenant_id, JobRow.rows_total).where(JobRow.id == claim.job_id)
    job = (await session.execute(query)).one_or_none()
    hints = await record_part(session, claim, rows=rows, size_bytes=size_bytes)
    if job is not None and hints is not None and job.rows_total is None:
        await count_job_rows(session, job.tenant_id, rows.done + rows.failed, settings=settings)
    return hints
