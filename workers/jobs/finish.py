"""Last step of a job: one output of all parts. And what is left to do when a job has ended: sweeping up."""

from typing import BinaryIO, cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.claims import StepClaim, claim_step
from shared.jobs.hints import Hint
from shared.jobs.job import JobStatus, result_key
from shared.jobs.outcomes import part_keys, record_result, record_sweep, unswept_job
from shared.storage.store import Written
from workers.jobs.attempt import attempt
from workers.jobs.context import JobContext
from workers.jobs.holding import StopSign
from workers.jobs.job_input import open_input


async def finish_job(context: JobContext, job_id: UUID) -> None:
    """Join the parts into the result; of a job that has ended, remove what it left in storage.

    Safe to repeat: one worker at a time can claim the joining, and the result counts that the newest claim
    publishes. Sweeping twice removes nothing more.
    """
    async with context.database.transaction() as session:
        claim = await claim_step(session, job_id, JobStatus.FINALIZING, settings=context.settings)
        keys = await part_keys(session, job_id) if claim else []
    if claim is not None:
        await _join(context, claim, keys)
    await _sweep(context, job_id)


async def _join(context: JobContext, claim: StepClaim, keys: list[str]) -> None:
    key = result_key(claim.job_id, fence=claim.fence)

    async def work(sign: StopSign) -> Written:
        return await context.in_thread(_joined, context, claim, keys=keys, key=key, sign=sign)

    async def record(session: AsyncSession, written: Written) -> list[Hint] | None:
        return await record_result(session, claim, written, settings=context.settings)

    if not await attempt(context, claim, work, record=record):
        await context.storage.delete(key)  # written or not, it is nobody's


def _joined(context: JobContext, claim: StepClaim, *, keys: list[str], key: str, sign: StopSign) -> Written:
    storage, order = context.storage, claim.order
    with context.open(order.rows_key, sign) as file, storage.writer(key) as sink:
        output = open_input(file, order).output()
        output.join(context.open_each(keys, sign), cast(BinaryIO, sink))
    return sink.written()


async def _sweep(context: JobContext, job_id: UUID) -> None:
    """Keep the input and the result of a job that has ended, and nothing else."""
    async with context.database.transaction() as session:
        job = await unswept_job(session, job_id)
    if job is None:
        return
    keep = frozenset(key for key in (job.input_key, job.result_key) if key is not None)
    await context.storage.delete_under(f"jobs/{job_id}", keep=keep)
    async with context.database.transaction() as session:
        await record_sweep(session, job_id)
