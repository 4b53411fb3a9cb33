"""First step of a job: does the file fit the model, and where can it be cut?"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.claims import StepClaim, claim_step
from shared.jobs.hints import Hint
from shared.jobs.job import JobStatus, PlannedChunk
from shared.jobs.outcomes import record_plan
from workers.jobs.attempt import attempt
from workers.jobs.context import JobContext
from workers.jobs.holding import StopSign
from workers.jobs.job_input import open_input, plan_chunks


async def plan_job(context: JobContext, job_id: UUID) -> None:
    """Check the columns and cut the input into chunks.

    Safe to repeat: only a job that is still `validating` can be claimed, by one worker at a time.
    """
    async with context.database.transaction() as session:
        claim = await claim_step(session, job_id, JobStatus.VALIDATING, settings=context.settings)
    if claim is None:
        return

    async def work(sign: StopSign) -> list[PlannedChunk]:
        return await context.in_thread(_chunks, context, claim, sign)

    async def record(session: AsyncSession, chunks: list[PlannedChunk]) -> list[Hint]:
        return await record_plan(session, claim, chunks)

    await attempt(context, claim, work, record=record)


def _chunks(context: JobContext, claim: StepClaim, sign: StopSign) -> list[PlannedChunk]:
    with context.open(claim.order.input_key, sign) as file:
        return plan_chunks(open_input(file, claim.order), chunk_bytes=context.settings.chunk_bytes)
