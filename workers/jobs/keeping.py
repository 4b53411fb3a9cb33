"""What was finished of a job that ended early becomes a file too."""

from uuid import UUID

import structlog

from shared.jobs.claims import renew_step
from shared.jobs.files import files_of
from shared.jobs.partial_claims import PartialClaim, claim_partial, record_partial, release_partial
from workers.jobs.context import JobContext
from workers.jobs.holding import Stopped, StopSign, hold
from workers.jobs.joining import Joined, Parts, forget_joined, join_parts

log = structlog.get_logger()


async def keep_finished(context: JobContext, job_id: UUID) -> bool:
    """Join the leading parts of a job that has failed, expired or been cancelled.

    Safe to repeat: one worker at a time can claim it, and what the newest claim records counts.

    Returns:
        False where it is still to be done, by who is asked next.
    """
    async with context.database.transaction() as session:
        claim = await claim_partial(session, job_id, settings=context.settings)
        names = [file.name for file in await files_of(session, job_id)]
    if claim is None:
        return True
    try:
        joined = await _held(context, claim, names)
    except Exception as error:  # noqa: BLE001  the job has ended: whatever it is changes nothing of that
        await _give_up(context, claim, error)
        return False
    async with context.database.transaction() as session:
        recorded = await record_partial(session, claim, joined.result, errors=joined.errors)
    if not recorded:
        await forget_joined(context, claim.step)
    await context.news.announce(job_id)
    return recorded


async def _held(context: JobContext, claim: PartialClaim, file_names: list[str]) -> Joined:
    sign, parts = StopSign(), Parts(claim.leading.keys(), claim.leading.errors, file_names)

    async def renew() -> bool:
        async with context.database.transaction() as session:
            return await renew_step(session, claim.step, settings=context.settings)

    work = context.in_thread(join_parts, context, claim.step, parts=parts, sign=sign, partial=True)
    return await hold(work, renew=renew, sign=sign, is_stopping=context.stopping.is_set)


async def _give_up(context: JobContext, claim: PartialClaim, error: Exception) -> None:
    stopped = isinstance(error, Stopped)
    if not stopped:
        log.error("partial_result_not_joined", job_id=str(claim.step.job_id), exc_info=error)
    await forget_joined(context, claim.step)
    async with context.database.transaction() as session:
        await release_partial(session, claim, counts=not stopped)
