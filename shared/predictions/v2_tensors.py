"""The tensors of the Open Inference Protocol: as JSON, or as raw bytes behind it.

Source: the protocol's "Inference" section, and its binary tensor data extension.
"""

import struct
from collections.abc import Iterable, Sequence
from itertools import chain
from math import prod
from typing import Any, Final

import numpy as np
from msgspec import UnsetType
from numpy.typing import NDArray

from shared.errors import FieldError, InvalidInput
from shared.json_body import MalformedJson
from shared.predictions.columns import Values
from shared.predictions.v2_request import Tensor

MAX_DIMENSIONS: Final = 2  # rows, columns; of a model of arrays, as many as they have, and the rows

DTYPES: Final[dict[str, str]] = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
BYTES: Final = "BYTES"
_FLOATS: Final = frozenset({"FP16", "FP32", "FP64"})


class TensorMismatch(InvalidInput):
    """A tensor contradicts itself, or is of a kind that no model here takes."""

    code = "tensor_mismatch"


def tensor_values(tensors: Sequence[Tensor], binary: memoryview) -> list[Values]:
    """The elements of each tensor, row by row.

    Args:
        binary: what follows the JSON: the tensors that announce a size, one after another.

    Raises:
        TensorMismatch: sizes, shapes and data do not agree.
    """
    announced = sum(tensor.parameters.binary_data_size or 0 for tensor in tensors)
    if announced != len(binary):
        raise TensorMismatch(
            f"the tensors announce {announced} bytes of binary data, and {len(binary)} follow the JSON"
        )
    found: list[Values] = []
    for tensor in tensors:
        size = tensor.parameters.binary_data_size
        found.append(_of_json(tensor) if size is None else _of_binary(tensor, binary[:size]))
        binary = binary[size or 0 :]
    return found


def mismatch(tensor: Tensor, message: str) -> TensorMismatch:
    """The error for one tensor."""
    name = tensor.name[:100]
    return TensorMismatch(
        f"the tensor {name!r} does not fit: {message}", [FieldError(message=message, column=name)]
    )


def _of_json(tensor: Tensor) -> Values:
    if isinstance(tensor.data, UnsetType):
        raise mismatch(tensor, "it has neither `data` nor `binary_data_size`")
    data = tensor.data
    while data and isinstance(data[0], list):  # data may be nested as the shape is
        if not all(isinstance(part, list) for part in data):
            raise mismatch(tensor, "`data` is partly nested")
        data = list(chain.from_iterable(data))
    _check_count(tensor, len(data))
    return _as_announced(tensor, data)


def _as_announced(tensor: Tensor, data: list[Any]) -> Values:
    """Numbers of JSON as the datatype would hold them in binary, where all of them are numbers."""
    kinds = set(map(type, data))
    taken = {int, float} if tensor.datatype in _FLOATS else {int}
    if tensor.datatype not in DTYPES or tensor.datatype == "BOOL" or not data:
        return data
    if kinds <= taken:
        return _held(tensor, data)
    if tensor.datatype in _FLOATS - {"FP64"}:  # null among them, or a number that has to be spelled
        numbers = [at for at, value in enumerate(data) if type(value) in taken]
        held = _held(tensor, [data[at] for at in numbers]).tolist()
        for at, value in zip(numbers, held, strict=True):
            data[at] = value
    return data


def _held(tensor: Tensor, numbers: list[Any]) -> NDArray[Any]:
    dtype = np.dtype(DTYPES[tensor.datatype])
    try:
        if dtype.kind != "f":
            return np.array(numbers, dtype)
        wide = np.array(numbers, np.float64)
    except OverflowError:
        raise mismatch(tensor, f"a number is too large for {tensor.datatype}") from None
    with np.errstate(over="ignore"):
        held = wide.astype(dtype)
    if np.isinf(held).any():
        raise mismatch(tensor, f"a number is too large for {tensor.datatype}")
    return held


def _check_count(tensor: Tensor, count: int) -> None:
    if count != prod(tensor.shape):
        raise mismatch(tensor, f"it has {count} elements, and the shape {tensor.shape[:8]}")


def _of_binary(tensor: Tensor, raw: memoryview) -> Values:
    if not isinstance(tensor.data, UnsetType):
        raise mismatch(tensor, "it has both `data` and `binary_data_size`")
    if tensor.datatype == BYTES:
        texts = list(_texts(tensor, raw))
        _check_count(tensor, len(texts))
        return texts
    dtype = np.dtype(DTYPES[tensor.datatype])
    if len(raw) % dtype.itemsize:
        raise mismatch(tensor, f"{len(raw)} bytes are no whole number of {tensor.datatype}")
    _check_count(tensor, len(raw) // dtype.itemsize)
    if tensor.datatype == "BOOL":  # any other byte than 0 is true
        flags: Values = np.frombuffer(raw, np.uint8) != 0
        return flags
    return np.frombuffer(raw, dtype)


def _texts(tensor: Tensor, raw: memoryview) -> Iterable[str]:
    """Each text stands behind its length in four bytes."""
    at = 0
    try:
        while at < len(raw):
            (length,) = struct.unpack_from("<I", raw, at)
            at += 4 + length
            if at > len(raw):
                raise mismatch(tensor, "a text is longer than the data")
            yield str(raw[at - length : at], "utf-8")
    except struct.error:
        raise mismatch(tensor, "its data end within a length") from None
    except UnicodeDecodeError:
        raise mismatch(tensor, "a text is not UTF-8") from None


def split_header(body: bytes, header_length: int) -> tuple[bytes, memoryview]:
    """The JSON, and what follows it.

    Raises:
        MalformedJson: the body is shorter than its header is said to be.
    """
    if header_length > len(body):
        raise MalformedJson(
            f"Inference-Header-Content-Length is {header_length}, and the body has {len(body)} bytes"
        )
    return body[:header_length], memoryview(body)[header_length:]
