"""Last step of a job: one output of all parts. And what is left to do when a job has ended."""

from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.claims import StepClaim, claim_step
from shared.jobs.files import files_of
from shared.jobs.hints import Hint
from shared.jobs.job import JobStatus
from shared.jobs.outcomes import errors_parts, part_keys, record_result
from workers.jobs.attempt import attempt
from workers.jobs.context import JobContext
from workers.jobs.holding import StopSign
from workers.jobs.joining import Joined, Parts, forget_joined, join_parts
from workers.jobs.keeping import keep_finished
from workers.jobs.sweep import sweep


async def finish_job(context: JobContext, job_id: UUID) -> None:
    """Join the parts into the result; of a job that has ended, remove what it left in storage.

    Safe to repeat: one worker at a time can claim the joining, and the result counts that the newest claim
    publishes. Sweeping twice removes nothing more.
    """
    async with context.database.transaction() as session:
        claim = await claim_step(session, job_id, JobStatus.FINALIZING, settings=context.settings)
        names = [file.name for file in await files_of(session, job_id)]
        parts = Parts(await part_keys(session, job_id), await errors_parts(session, job_id), names)
    if claim is not None:
        await _join(context, claim, parts)
    if await keep_finished(context, job_id):
        await sweep(context, job_id)


async def _join(context: JobContext, claim: StepClaim, parts: Parts) -> None:
    async def work(sign: StopSign) -> Joined:
        return await context.in_thread(join_parts, context, claim, parts=parts, sign=sign)

    await finish_claimed(context, claim, work)


async def finish_claimed(
    context: JobContext, claim: StepClaim, work: Callable[[StopSign], Coroutine[Any, Any, Joined]]
) -> bool:
    """Publish the result that the work writes; whether it was published. What was not is removed."""

    async def record(session: AsyncSession, joined: Joined) -> list[Hint] | None:
        return await record_result(
            session, claim, joined.result, errors=joined.errors, settings=context.settings
        )

    recorded = await attempt(context, claim, work, record=record)
    if not recorded:
        await forget_joined(context, claim)
    return recorded
