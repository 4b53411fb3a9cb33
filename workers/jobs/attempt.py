"""One attempt at a claimed piece of work: held while it lasts, and its outcome written down."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from shared.errors import CallerError
from shared.jobs.claims import ChunkClaim, Claim, renew_chunk, renew_step
from shared.jobs.hints import Hint, send_hints
from shared.jobs.job import RowCounts
from shared.jobs.outcomes import hand_back, record_failure, record_setback
from shared.jobs.telling import tell_progress
from workers.jobs.context import JobContext
from workers.jobs.faults import job_error, may_pass
from workers.jobs.holding import Stopped, StopSign, hold

T = TypeVar("T")

log = structlog.get_logger()


async def attempt(
    context: JobContext,
    claim: Claim,
    work: Callable[[StopSign], Coroutine[Any, Any, T]],
    *,
    record: Callable[[AsyncSession, T], Awaitable[list[Hint] | None]],
    rows: Callable[[], RowCounts] = RowCounts,
) -> bool:
    """Do the work and record what came of it.

    Args:
        record: writes the result down if the claim still holds, and says what to send; None if it was lost.
        rows: so far, for the job's owner to see.

    Returns:
        Whether the result was recorded.
    """
    sign, told = StopSign(), RowCounts()

    async def renew() -> bool:
        nonlocal told
        counted = rows()
        async with context.database.transaction() as session:
            if not isinstance(claim, ChunkClaim):
                return await renew_step(session, claim, settings=context.settings)
            is_held = await renew_chunk(session, claim, rows=counted, settings=context.settings)
        if counted != told:
            told = counted
            await _tell_change(context, claim)
        return is_held

    try:
        result = await hold(work(sign), renew=renew, sign=sign, is_stopping=context.stopping.is_set)
    except Exception as error:  # noqa: BLE001  whatever it is, the claim must not be left to its lease
        await _record_trouble(context, claim, error)
        return False
    return await _record_result(context, claim, lambda session: record(session, result))


async def _record_result(
    context: JobContext, claim: Claim, record: Callable[[AsyncSession], Awaitable[list[Hint] | None]]
) -> bool:
    """Write the result down; whether it was."""
    try:
        async with context.database.transaction() as session:
            hints = await record(session)
            if hints is None:  # another worker's, or the job has ended: nobody shall wait for our lease
                await hand_back(session, claim)
    except CallerError as error:  # its owner has no room for what came of it
        await _record_trouble(context, claim, error)
        return False
    await _tell_change(context, claim)
    await send_hints(context.messenger, hints or [])
    return hints is not None


async def _tell_change(context: JobContext, claim: Claim) -> None:
    """Tell those who follow the job that it may have changed."""
    await context.news.announce(claim.job_id)
    if not claim.order.tells_progress:
        return
    async with context.database.transaction() as session:
        hints = await tell_progress(session, claim.job_id, settings=context.settings)
    await send_hints(context.messenger, hints)


async def _record_trouble(context: JobContext, claim: Claim, error: Exception) -> None:
    async with context.database.transaction() as session:
        hints = await _outcome(session, claim, error, context)
    await context.news.announce(claim.job_id)
    await send_hints(context.messenger, hints)


async def _outcome(session: AsyncSession, claim: Claim, error: Exception, context: JobContext) -> list[Hint]:
    if isinstance(error, Stopped):
        return await hand_back(session, claim)
    told = job_error(error, chunk=claim.index if isinstance(claim, ChunkClaim) else None)
    log.warning(
        "attempt_failed", job_id=str(claim.job_id), attempt=claim.attempt, code=told.code, chunk=told.chunk
    )
    record = record_setback if may_pass(error) else record_failure
    return await record(session, claim, told, settings=context.settings)
