"""First step of a job: does the file fit the model, and where can it be cut?"""

from typing import BinaryIO, cast
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.claims import StepClaim, claim_step
from shared.jobs.day_rows import count_planned_rows
from shared.jobs.errors import UnreadableInput
from shared.jobs.fetched_input import FetchedInput
from shared.jobs.files import JobFile, files_of, record_files
from shared.jobs.hints import Hint
from shared.jobs.job import ByteRange, FileFormat, JobStatus, fetched_key, head_key, text_key
from shared.jobs.order import Order
from shared.jobs.outcomes import record_plan
from shared.quotas.limits import require_room
from shared.quotas.quota import Quota
from shared.storage.object_files import Written
from workers.jobs.attempt import attempt
from workers.jobs.context import JobContext
from workers.jobs.fetching import fetch_input
from workers.jobs.holding import StopSign
from workers.jobs.job_input import open_input, plan_chunks
from workers.jobs.plan_files import FilesPlanner, Plan
from workers.jobs.unpacking import NotText, must_unpack, unpack_text


async def plan_job(context: JobContext, job_id: UUID) -> None:
    """Fetch the input if it lies elsewhere, check the columns, and cut it into chunks.

    Safe to repeat: only a job that is still `validating` can be claimed, by one worker at a time, and the
    copy and the text count that the newest claim fetched and unpacked.
    """
    async with context.database.transaction() as session:
        claim = await claim_step(session, job_id, JobStatus.VALIDATING, settings=context.settings)
        files = await files_of(session, job_id)
    if claim is None:
        return

    async def work(sign: StopSign) -> Plan:
        fetched = await fetch_input(context.settings, context.storage, claim, sign=sign)
        ready = claim if fetched is None else _with_input(claim, fetched)
        plan = await context.in_thread(_plan, context, ready, files, sign=sign)
        return msgspec.structs.replace(plan, fetched=fetched)

    async def record(session: AsyncSession, plan: Plan) -> list[Hint] | None:
        await _take_room(session, claim, plan, context)
        hints = await record_plan(
            session, claim, plan.chunks, text_key=plan.text_key, fetched=plan.fetched, head=plan.head
        )
        if hints is not None:
            await count_planned_rows(session, claim, settings=context.settings)
        if hints is not None and plan.carried is not None:
            await record_files(session, job_id, plan.files, carried=plan.carried)
        return hints

    if not await attempt(context, claim, work, record=record):
        # Written or not, they are nobody's.
        for file in range(max(1, len(files))):
            await context.storage.delete(text_key(job_id, fence=claim.fence, file=file))
        await context.storage.delete(head_key(job_id, fence=claim.fence))
        if claim.order.remote is not None:
            await context.storage.delete(fetched_key(job_id, fence=claim.fence))


async def _take_room(session: AsyncSession, claim: StepClaim, plan: Plan, context: JobContext) -> None:
    """Of an input that was fetched nobody knew the size before."""
    if plan.fetched is not None and claim.order.remote is not None:
        tenant_id, size_bytes = claim.order.remote.tenant_id, plan.fetched.written.size_bytes
        quota, settings = Quota.STORAGE_BYTES, context.settings
        await require_room(session, tenant_id, quota, settings=settings, more=size_bytes)


def _with_input(claim: StepClaim, fetched: FetchedInput) -> StepClaim:
    order = msgspec.structs.replace(
        claim.order,
        remote=None,
        input_key=fetched.key,
        input_format=fetched.format,
        input_encoding=fetched.encoding,
        output_format=fetched.output_format,
    )
    return msgspec.structs.replace(claim, order=order)


def _plan(context: JobContext, claim: StepClaim, files: list[JobFile], *, sign: StopSign) -> Plan:
    def unpack(order: Order, file: int, most_bytes: int) -> Order:
        key = text_key(claim.job_id, fence=claim.fence, file=file)
        return _unpacked(context, order, key, most_bytes=most_bytes, sign=sign)

    if files:
        planner = FilesPlanner(context, claim.order, unpack=unpack, sign=sign)
        plan, order = planner.plan(files), planner.common_order()
    else:
        order = unpack(claim.order, 0, context.settings.job_max_bytes)
        plan = _plan_alone(context, order, sign)
    if order.output_format is not FileFormat.CSV:
        return plan
    return msgspec.structs.replace(plan, head=_head(context, order, claim.fence, sign=sign))


def _plan_alone(context: JobContext, order: Order, sign: StopSign) -> Plan:
    with context.open(order.rows_key, sign) as file:
        chunks = plan_chunks(open_input(file, order), chunk_bytes=context.settings.chunk_bytes)
    return Plan(chunks=chunks, text_key=order.text_key)


def _head(context: JobContext, order: Order, fence: int, *, sign: StopSign) -> Written:
    """What the output has before its first part, so that the parts that are ready can be read after it."""
    with (
        context.open(order.rows_key, sign) as file,
        context.storage.writer(head_key(order.job_id, fence=fence)) as sink,
    ):
        open_input(file, order).output().join((), cast(BinaryIO, sink))
    return sink.written()


def _unpacked(context: JobContext, order: Order, key: str, *, most_bytes: int, sign: StopSign) -> Order:
    """The order, with its text unpacked where that is needed."""
    if order.input_encoding is None:
        return order
    with context.open(order.input_key, sign) as file:
        if not must_unpack(file, order.input_encoding):
            return order
        unpacked = msgspec.structs.replace(order, text_key=key)
        fault = _unpack(context, file, unpacked, most_bytes=most_bytes)
    if fault is not None:
        with context.open(key, sign) as text:
            raise UnreadableInput(str(fault), row=_last_row(text, unpacked, size_bytes=fault.size_bytes))
    return unpacked


def _unpack(context: JobContext, file: BinaryIO, order: Order, *, most_bytes: int) -> NotText | None:
    """Write the text, as far as it is text; where it ends to be that is a record of its own."""
    assert order.input_encoding is not None  # noqa: S101  narrows the type
    with context.storage.writer(order.rows_key) as sink:
        try:
            unpack_text(file, cast(BinaryIO, sink), encoding=order.input_encoding, most_bytes=most_bytes)
        except NotText as fault:
            return fault
    return None


def _last_row(text: BinaryIO, order: Order, *, size_bytes: int) -> int | None:
    """The number of the text's last row; None where it ends within its header."""
    try:
        rows = open_input(text, order).first_row(ByteRange(size_bytes, size_bytes))
    except UnreadableInput as error:
        return error.row
    return rows - 1 if rows else None
