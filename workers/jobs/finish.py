"""Last step of a job: one output of all parts. And what is left to do when a job has ended: sweeping up."""

from contextlib import ExitStack
from typing import BinaryIO, cast
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.claims import StepClaim, claim_step
from shared.jobs.hints import Hint
from shared.jobs.job import ErrorsFormat, JobStatus, OnError, errors_key, result_key
from shared.jobs.outcomes import (
    ErrorsPart,
    errors_parts,
    part_keys,
    record_result,
)
from shared.storage.store import Written
from workers.jobs.attempt import attempt
from workers.jobs.context import JobContext
from workers.jobs.errors_file import join_errors
from workers.jobs.holding import StopSign
from workers.jobs.job_input import open_input
from workers.jobs.sweep import sweep


class Parts(msgspec.Struct, frozen=True):
    """What the chunks have left, in the order of the input."""

    keys: list[str]
    errors: list[ErrorsPart]


class Joined(msgspec.Struct, frozen=True):
    """What was made of it; no errors where rows are not skipped."""

    result: Written
    errors: dict[ErrorsFormat, Written] | None


async def finish_job(context: JobContext, job_id: UUID) -> None:
    """Join the parts into the result; of a job that has ended, remove what it left in storage.

    Safe to repeat: one worker at a time can claim the joining, and the result counts that the newest claim
    publishes. Sweeping twice removes nothing more.
    """
    async with context.database.transaction() as session:
        claim = await claim_step(session, job_id, JobStatus.FINALIZING, settings=context.settings)
        parts = Parts(await part_keys(session, job_id), await errors_parts(session, job_id))
    if claim is not None:
        await _join(context, claim, parts)
    await sweep(context, job_id)


async def _join(context: JobContext, claim: StepClaim, parts: Parts) -> None:
    keys = [result_key(claim.job_id, fence=claim.fence), *_errors_keys(claim).values()]

    async def work(sign: StopSign) -> Joined:
        return await context.in_thread(_joined, context, claim, parts=parts, sign=sign)

    async def record(session: AsyncSession, joined: Joined) -> list[Hint] | None:
        return await record_result(
            session, claim, joined.result, errors=joined.errors, settings=context.settings
        )

    if not await attempt(context, claim, work, record=record):
        for key in keys:
            await context.storage.delete(key)  # written or not, it is nobody's


def _joined(context: JobContext, claim: StepClaim, *, parts: Parts, sign: StopSign) -> Joined:
    storage, order = context.storage, claim.order
    key = result_key(claim.job_id, fence=claim.fence)
    with context.open(order.rows_key, sign) as file, storage.writer(key) as sink:
        output = open_input(file, order).output()
        output.join(context.open_each(parts.keys, sign), cast(BinaryIO, sink))
    skips = order.on_error is OnError.SKIP
    errors = _joined_errors(context, claim, parts=parts.errors, sign=sign) if skips else None
    return Joined(sink.written(), errors)


def _joined_errors(
    context: JobContext, claim: StepClaim, *, parts: list[ErrorsPart], sign: StopSign
) -> dict[ErrorsFormat, Written]:
    files = context.open_each([part.key for part in parts], sign)
    with ExitStack() as stack:
        writers = {
            kind: stack.enter_context(context.storage.writer(key))
            for kind, key in _errors_keys(claim).items()
        }
        sinks = {kind: cast(BinaryIO, writer) for kind, writer in writers.items()}
        join_errors(zip(files, [part.first_row for part in parts], strict=False), sinks)
    return {kind: writer.written() for kind, writer in writers.items()}


def _errors_keys(claim: StepClaim) -> dict[ErrorsFormat, str]:
    return {kind: errors_key(claim.job_id, kind, fence=claim.fence) for kind in ErrorsFormat}
