"""The right to make a file of what was finished of a job that ended early, and what comes of it."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.now import database_now
from shared.jobs.claims import StepClaim, lock_job
from shared.jobs.job import ENDED_EARLY, ErrorsFormat, JobStatus, errors_key, result_key
from shared.jobs.leading_parts import LeadingParts, leading_parts
from shared.jobs.order import order_of
from shared.jobs.tables import JobRow
from shared.settings import Settings
from shared.storage.object_files import Written


class PartialClaim(msgspec.Struct, frozen=True):
    """What is to be joined, and the step that is held meanwhile."""

    step: StepClaim
    leading: LeadingParts


async def claim_partial(session: AsyncSession, job_id: UUID, *, settings: Settings) -> PartialClaim | None:
    """Take a job that ended early, to join what was finished.

    Returns:
        None where there is nothing to do: nothing was finished, it is joined or another worker's, its version
        was deleted, or it was tried as often as any work is.
    """
    job = await lock_job(session, job_id)
    now = await database_now(session)
    if job is None or job.status not in ENDED_EARLY or job.result_key is not None or job.swept_at is not None:
        return None
    if job.files_removed_at is not None or job.deleted_at is not None:
        return None
    if job.attempts >= settings.chunk_attempts or (job.lease_until is not None and job.lease_until > now):
        return None
    leading, order = await leading_parts(session, job_id), await order_of(session, job)
    if order is None or not leading.parts:
        return None
    job.fence, job.attempts = job.fence + 1, job.attempts + 1
    job.lease_until = now + timedelta(seconds=settings.lease_s)
    step = StepClaim(status=JobStatus(job.status), fence=job.fence, attempt=job.attempts, order=order)
    return PartialClaim(step, leading)


async def record_partial(
    session: AsyncSession,
    claim: PartialClaim,
    written: Written,
    *,
    errors: Mapping[ErrorsFormat, Written] | None,
) -> bool:
    """Publish the file; False where the claim was lost, or the job was retried."""
    files = None if errors is None else _errors_files(claim.step, errors)
    published = await session.scalar(
        update(JobRow)
        .where(*_held(claim))
        .values(
            result_key=result_key(claim.step.job_id, fence=claim.step.fence),
            result_size_bytes=written.size_bytes,
            result_digest=written.digest,
            result_rows=claim.leading.rows.done,
            errors_files=files,
            lease_until=None,
        )
        .returning(JobRow.id)
    )
    return published is not None


async def release_partial(session: AsyncSession, claim: PartialClaim, *, counts: bool) -> None:
    """Leave it to who is asked next; an attempt that does not count may be made again."""
    attempts = claim.step.attempt if counts else claim.step.attempt - 1
    await session.execute(update(JobRow).where(*_held(claim)).values(lease_until=None, attempts=attempts))


def _held(claim: PartialClaim) -> tuple[ColumnElement[bool], ...]:
    step = claim.step
    return JobRow.id == step.job_id, JobRow.status == step.status, JobRow.fence == step.fence


def _errors_files(step: StepClaim, errors: Mapping[ErrorsFormat, Written]) -> dict[str, object]:
    return {
        kind: {"key": errors_key(step.job_id, kind, fence=step.fence), **msgspec.to_builtins(file)}
        for kind, file in errors.items()
    }
