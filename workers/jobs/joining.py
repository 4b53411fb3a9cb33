"""One file of the parts of a job, and one of its errors, as far as there are parts."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import BinaryIO, Protocol, cast

import msgspec

from shared.attachment import content_disposition
from shared.jobs.claims import StepClaim
from shared.jobs.job import ErrorsFormat, OnError, errors_key, result_key
from shared.jobs.outcomes import ErrorsPart
from shared.jobs.result import MEDIA_TYPES, result_name
from shared.storage.object_files import Written
from workers.jobs.context import JobContext
from workers.jobs.errors_file import Place, join_errors
from workers.jobs.holding import StopSign
from workers.jobs.job_input import open_input


class JobParts(Protocol):
    """What the chunks have left, in the order of the input. The errors are known after the last key."""

    @property
    def keys(self) -> Iterable[str]:
        """Of the parts."""

    @property
    def errors(self) -> Sequence[ErrorsPart]:
        """Of the chunks that have some."""

    @property
    def file_names(self) -> list[str]:
        """Of the input, where it has several."""


class Parts(msgspec.Struct, frozen=True):
    """The same, all there."""

    keys: list[str]
    errors: list[ErrorsPart]
    file_names: list[str]


class Joined(msgspec.Struct, frozen=True):
    """What was made of it; no errors where rows are not skipped."""

    result: Written
    errors: dict[ErrorsFormat, Written] | None


def join_parts(
    context: JobContext, claim: StepClaim, *, parts: JobParts, sign: StopSign, partial: bool = False
) -> Joined:
    """Write the result, whole or as far as there are parts, and the errors of a job that skips rows."""
    storage, order = context.storage, claim.order
    key = result_key(claim.job_id, fence=claim.fence)
    headers = {
        "Content-Disposition": content_disposition(
            result_name(order.model_name, order.job_id, order.output_format)
        ),
        "Content-Type": MEDIA_TYPES[order.output_format],
    }
    with context.open(order.rows_key, sign) as file, storage.writer(key, headers=headers) as sink:
        output = open_input(file, order).output()
        output.join(context.open_each(parts.keys, sign), cast(BinaryIO, sink), partial=partial)
    skips = order.on_error is OnError.SKIP
    errors = _join_errors(context, claim, parts=parts, sign=sign) if skips else None
    return Joined(sink.written(), errors)


def _join_errors(
    context: JobContext, claim: StepClaim, *, parts: JobParts, sign: StopSign
) -> dict[ErrorsFormat, Written]:
    files = context.open_each([part.key for part in parts.errors], sign)
    places = [_place(part, parts.file_names) for part in parts.errors]
    with ExitStack() as stack:
        writers = {
            kind: stack.enter_context(context.storage.writer(key)) for kind, key in errors_keys(claim).items()
        }
        sinks = {kind: cast(BinaryIO, writer) for kind, writer in writers.items()}
        join_errors(zip(files, places, strict=False), sinks, several=bool(parts.file_names))
    return {kind: writer.written() for kind, writer in writers.items()}


def _place(part: ErrorsPart, file_names: list[str]) -> Place:
    return Place(part.first_row, part.file_row, file_names[part.file] if file_names else None)


def errors_keys(claim: StepClaim) -> dict[ErrorsFormat, str]:
    """Where this claim writes the errors, by their format."""
    return {kind: errors_key(claim.job_id, kind, fence=claim.fence) for kind in ErrorsFormat}


async def forget_joined(context: JobContext, claim: StepClaim) -> None:
    """Remove what a claim has written that was lost: written or not, it is nobody's."""
    for key in [result_key(claim.job_id, fence=claim.fence), *errors_keys(claim).values()]:
        await context.storage.delete(key)
