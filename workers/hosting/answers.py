"""Checks what a host answers against what it was asked, and takes the numbers out of shared memory."""

import time
from collections.abc import Sequence
from math import prod
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from workers.host.protocol import Accelerated, Array, Attempted, BadFrame, Failed, Inspected, Loaded
from workers.hosting.arena import Slot
from workers.hosting.call import Prediction
from workers.hosting.values import arrays_in, values_in


class Asked(msgspec.Struct, frozen=True):
    """A request that is not answered yet.

    Attributes:
        slot: of a prediction; None for a load.
        reply_at: where in the slot the host may write, and `reply_bytes` how much.
        most_bytes: of the message that answers it.
        shapes: of a row of each output, as far as the signature tells.
        at_ns: when it was asked (monotonic).
    """

    id: int
    rows: int
    outputs: Sequence[str]
    slot: Slot | None
    reply_at: int
    reply_bytes: int
    most_bytes: int
    shapes: dict[str, Sequence[int]]
    at_ns: int


class Answered(msgspec.Struct, frozen=True, array_like=True, tag="predicted", forbid_unknown_fields=True):
    """`protocol.Predicted`, of which nothing large is decoded yet."""

    id: int
    compute_ns: int
    values: msgspec.Raw
    arrays: msgspec.Raw


Answer = Inspected | Loaded | Attempted | Accelerated | Answered | Failed

_decode = msgspec.msgpack.Decoder(Answer).decode
# Of msgspec (a ValidationError is a DecodeError), of text that is none, of lists in lists in lists.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decoded(message: memoryview) -> Answer:
    """The answer in a frame.

    Raises:
        BadFrame: it is none.
    """
    try:
        return cast("Answer", _decode(message))
    except _UNREADABLE as error:
        raise BadFrame("an answer that cannot be read") from error


def prediction_from(answer: Answered, body: memoryview, asked: Asked) -> Prediction:
    """The prediction, each output with one entry a row.

    Raises:
        BadFrame: outputs that were not asked for, too few rows, numbers that lie outside their place.
    """
    if answer.compute_ns < 0:
        raise BadFrame("an answer that took less than no time")
    outputs: dict[str, list[Any] | NDArray[np.generic]] = {}
    try:
        outputs.update(values_in(answer.values, rows=asked.rows, shapes=asked.shapes))
        arrays = arrays_in(answer.arrays, outputs=len(asked.outputs))
    except _UNREADABLE as error:
        raise BadFrame("an answer that cannot be read") from error
    for array in arrays:
        outputs[array.name] = _numbers(array, body, asked)
    if outputs.keys() != set(asked.outputs) or any(len(output) != asked.rows for output in outputs.values()):
        raise BadFrame("an answer of other outputs or rows than were asked for")
    took_ns = time.monotonic_ns() - asked.at_ns  # it cannot have computed for longer
    return Prediction(outputs=outputs, compute_ns=min(answer.compute_ns, took_ns))


def _numbers(array: Array, body: memoryview, asked: Asked) -> NDArray[np.generic]:
    """A copy: the host could change its own at any time."""
    area, end = _area(array, body, asked)
    dtype, count = np.dtype(array.dtype), prod(array.shape)
    if not array.shape or min(array.shape) < 0 or array.offset < 0:
        raise BadFrame("an array of impossible shape")
    if array.offset + count * dtype.itemsize > end:
        raise BadFrame("an array that reaches past its place")
    flat = np.frombuffer(area, dtype, count=count, offset=array.offset)
    try:
        return flat.reshape(array.shape).copy()
    except ValueError as error:  # more dimensions than there can be, or none long in a huge array
        raise BadFrame("an array of impossible shape") from error


def _area(array: Array, body: memoryview, asked: Asked) -> tuple[memoryview, int]:
    if not array.in_slot:
        return body, len(body)
    if asked.slot is None or not asked.reply_bytes:
        raise BadFrame("an array where there is no room for one")
    return asked.slot.area(0)[asked.reply_at :], asked.reply_bytes
