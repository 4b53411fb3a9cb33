"""The right to join the parts of a job that still runs, and which of them may be joined.

It is the job's own lease and fence, which nobody else needs while chunks run. When the last chunk is done the
claim goes on as the one to finish the job; where its holder is lost, the job is finished as if there had been
none. A job is joined early once at most: what ended a worker shall not end the next ones.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Select, func, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.now import database_now
from shared.jobs.claims import StepClaim, is_free
from shared.jobs.expiry import is_in_time
from shared.jobs.job import ChunkStatus, JobStatus
from shared.jobs.order import order_of
from shared.jobs.outcomes import ErrorsPart, errors_parts
from shared.jobs.tables import ChunkRow, JobRow
from shared.settings import Settings

LEAST_CHUNKS = 4  # of a job; with fewer there is too little to join before the last of them is done
_MOST_KEYS = 1000  # that one look brings


class Joinable(msgspec.Struct, frozen=True):
    """Parts that follow those known before.

    Attributes:
        errors: all that there are, once no part will follow; None until then.
    """

    keys: Sequence[str]
    errors: Sequence[ErrorsPart] | None


async def claim_early_join(session: AsyncSession, job_id: UUID, *, settings: Settings) -> StepClaim | None:
    """Take a job whose first parts are there, to join them.

    Returns:
        None where there is nothing to do: it has too few chunks, it does not run any more, another worker
        joins it, or one was lost that did.
    """
    job = await session.scalar(
        select(JobRow)
        .where(JobRow.id == job_id, JobRow.status == JobStatus.RUNNING, JobRow.attempts == 0)
        .where(is_free(JobRow.lease_until), is_in_time())
        .where(_chunk(job_id, 0).where(ChunkRow.status == ChunkStatus.DONE).exists())
        .where(_chunk(job_id, LEAST_CHUNKS - 1).exists())
        .with_for_update()
    )
    order = None if job is None else await order_of(session, job)
    if job is None or order is None:
        return None
    job.fence, job.attempts = job.fence + 1, 1
    job.lease_until = await database_now(session) + timedelta(seconds=settings.lease_s)
    return StepClaim(status=JobStatus.FINALIZING, fence=job.fence, attempt=1, order=order, early=True)


async def joinable_parts(session: AsyncSession, job_id: UUID, *, known: int) -> Joinable:
    """Those behind the first `known`, in the order of the input, up to the first chunk that is not done."""
    status = await session.scalar(select(JobRow.status).where(JobRow.id == job_id))
    first_undone = (
        select(func.min(ChunkRow.index))
        .where(ChunkRow.job_id == job_id, text("chunks.status <> 'done'"))
        .scalar_subquery()
    )
    query = select(ChunkRow.part_key).where(ChunkRow.job_id == job_id, ChunkRow.index >= known)
    leading = query.where(func.coalesce(ChunkRow.index < first_undone, true()))
    found = (await session.scalars(leading.order_by(ChunkRow.index).limit(_MOST_KEYS))).all()
    is_all = status == JobStatus.FINALIZING and len(found) < _MOST_KEYS
    errors = await errors_parts(session, job_id) if is_all else None
    return Joinable([key for key in found if key is not None], errors)


def _chunk(job_id: UUID, index: int) -> Select[int]:
    return select(ChunkRow.index).where(ChunkRow.job_id == job_id, ChunkRow.index == index)
