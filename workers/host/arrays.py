"""Rows of arrays (Layout.TENSORS): read where they lie, counted, and taken apart.

The form in which they travel is described in shared/predictions/tensors.py.
"""

import struct
from collections.abc import Sequence
from math import prod
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.catalog.verdict import Column, Datatype

_DTYPES: dict[Datatype, str] = {
    Datatype.FP64: "<f8",
    Datatype.FP32: "<f4",
    Datatype.INT64: "<i8",
    Datatype.BOOL: "|b1",
    Datatype.BYTES: "|O",
}
_LENGTH = struct.Struct("<Q")

_decode_texts = msgspec.msgpack.Decoder(list[str]).decode


def read_arrays(inputs: Sequence[Column], rows: int, source: memoryview) -> dict[str, NDArray[Any]]:
    """An array an input, of shape (rows, *its shape). Numbers are not copied: they lie in `source`."""
    arrays: dict[str, NDArray[Any]] = {}
    at = 0
    for column in inputs:
        shape = (rows, *column.shape)
        if column.datatype is Datatype.BYTES:
            (length,) = _LENGTH.unpack_from(source, at)
            start = at + _LENGTH.size
            arrays[column.name] = array_of(_decode_texts(source[start : start + length]), column, rows)
            at = _aligned(start + length)
            continue
        dtype, count = np.dtype(_DTYPES[column.datatype]), prod(shape)
        arrays[column.name] = np.frombuffer(source, dtype, count, at).reshape(shape)
        at = _aligned(at + count * dtype.itemsize)
    return arrays


def array_of(values: Sequence[Any], column: Column, rows: int) -> NDArray[Any]:
    """The array of one input, of values in one list or nested as its shape is; None is a missing float."""
    return np.array(values, np.dtype(_DTYPES[column.datatype])).reshape(rows, *column.shape)


def _aligned(length: int) -> int:
    return (length + 7) & ~7
