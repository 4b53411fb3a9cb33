"""Checks what a host answers against what it was asked, and takes the numbers out of shared memory."""

from collections.abc import Sequence
from math import prod
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from workers.host.protocol import Answer, Array, BadFrame, Predicted, decode_answer
from workers.hosting.arena import Slot
from workers.hosting.call import Prediction


class Asked(msgspec.Struct, frozen=True):
    """A request that is not answered yet.

    Attributes:
        slot: of a prediction; None for a load.
        reply_at: where in the slot the host may write, and `reply_bytes` how much.
    """

    id: int
    rows: int
    outputs: Sequence[str]
    slot: Slot | None
    reply_at: int
    reply_bytes: int


def decoded(message: memoryview) -> Answer:
    """The answer in a frame.

    Raises:
        BadFrame: it is none.
    """
    try:
        return cast("Answer", decode_answer(message))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is a DecodeError
        raise BadFrame("an answer that cannot be read") from error


def prediction_from(answer: Predicted, body: memoryview, asked: Asked) -> Prediction:
    """The prediction, each output with one entry a row.

    Raises:
        BadFrame: outputs that were not asked for, too few rows, numbers that lie outside their place.
    """
    if answer.compute_ns < 0:
        raise BadFrame("an answer that took less than no time")
    outputs: dict[str, list[Any] | NDArray[np.generic]] = {}
    outputs.update(answer.values)
    for array in answer.arrays:
        outputs[array.name] = _numbers(array, body, asked)
    if outputs.keys() != set(asked.outputs) or any(len(output) != asked.rows for output in outputs.values()):
        raise BadFrame("an answer of other outputs or rows than were asked for")
    return Prediction(outputs=outputs, compute_ns=answer.compute_ns)


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
