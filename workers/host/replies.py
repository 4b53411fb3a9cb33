"""Writes a model's outputs: lists for callers who wait, raw numbers for jobs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.host.protocol import INLINE_BYTES, Array, Buffer, Dtype, Predict, Predicted, frame

_ALIGNMENT = 64
_DTYPES: dict[str, Dtype] = {"f": "<f8", "i": "<i8", "u": "<i8", "b": "|b1"}  # by numpy's kind


def reply(call: Predict, outputs: dict[str, NDArray[Any]], compute_ns: int, area: memoryview) -> list[Buffer]:
    """The frame that answers a call.

    Args:
        area: of the call's slot, where large arrays go as long as there is room.
    """
    numbers = {
        name: output for name, output in outputs.items() if call.arrays and output.dtype.kind in _DTYPES
    }
    values = {name: plain(output) for name, output in outputs.items() if name not in numbers}
    if not numbers:
        return frame(Predicted(call.id, compute_ns, values, []))
    arrays, body = _place(numbers, area)
    return frame(Predicted(call.id, compute_ns, values, arrays), body)


def plain(output: NDArray[Any]) -> list[Any]:
    """Lists of Python's own scalars; what is none, a date say, as text."""
    values: list[Any] = output.tolist()
    return values if output.dtype.kind in "fiubU" else [_plain_value(value) for value in values]


def _plain_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain_value(part) for part in value]
    if isinstance(value, np.generic):
        return _plain_value(value.item())
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _place(numbers: dict[str, NDArray[Any]], area: memoryview) -> tuple[list[Array], list[Buffer]]:
    ready = {
        name: np.ascontiguousarray(output, _DTYPES[output.dtype.kind]) for name, output in numbers.items()
    }
    size = sum(_aligned(output.nbytes) for output in ready.values())
    in_slot = INLINE_BYTES < size <= len(area)
    arrays: list[Array] = []
    body: list[Buffer] = []
    offset = 0
    for name, output in ready.items():
        arrays.append(Array(name, _DTYPES[output.dtype.kind], list(output.shape), in_slot, offset))
        if in_slot:
            area[offset : offset + output.nbytes] = _bytes_of(output)
        else:
            body += [_bytes_of(output), bytes(_aligned(output.nbytes) - output.nbytes)]
        offset += _aligned(output.nbytes)
    return arrays, body


def _bytes_of(output: NDArray[Any]) -> memoryview:
    return output.reshape(-1).view(np.uint8).data


def _aligned(length: int) -> int:
    return -(-length // _ALIGNMENT) * _ALIGNMENT
