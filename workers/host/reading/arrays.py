"""How many bytes an array takes that joblib wrote beside its pickle."""

import re
from math import prod
from typing import Any, TypeGuard

import msgspec
import numpy as np

from workers.host.reading.notes import unclear
from workers.host.reading.placeholders import Dtype, JoblibArray

_CODE = re.compile(r"[?bBhHiIlLqQefdgFDGSUVOMmuca]\d{0,9}")
_MOST_DIMENSIONS = 64
_MOST_FIELDS = 1000
_DEEPEST = 8
_FIELDS_AT, _ITEM_BYTES_AT, _SUBARRAY_AT, _FLAGS_AT = 4, 5, 2, 7
_HAS_OBJECTS = 0x01  # NPY_ITEM_REFCOUNT, which NumPy takes from the file as it stands
_SIZED = "SUV"  # kinds of elements whose length is told beside them


class ArrayBytes(msgspec.Struct, frozen=True):
    """What follows a placeholder for an array in the file.

    Attributes:
        size: of the numbers; None where a pickle of its own follows instead, since the elements are objects.
        aligned: a byte with the length of a padding comes first, and that padding.
    """

    size: int | None
    aligned: bool


def array_bytes(array: JoblibArray) -> ArrayBytes:
    """What follows this array's placeholder.

    Raises:
        Rejected: it does not say so plainly.
    """
    state = array.state if type(array.state) is dict else {}
    shape, dtype = state.get("shape"), state.get("dtype")
    if not _is_shape(shape):
        raise unclear("holds an array of no plain shape")
    item_bytes = _item_bytes(dtype)
    size = None if item_bytes is None else item_bytes * prod(shape)
    return ArrayBytes(size, state.get("numpy_array_alignment_bytes") is not None)


def _is_shape(shape: Any) -> TypeGuard[tuple[int, ...]]:
    return (
        type(shape) is tuple
        and len(shape) <= _MOST_DIMENSIONS
        and all(type(length) is int and 0 <= length < 1 << 62 for length in shape)
    )


def _item_bytes(dtype: Any, depth: int = 0) -> int | None:
    """Bytes of one element; None where there are Python objects in it."""
    code, state = (dtype.code, dtype.state) if isinstance(dtype, Dtype) else (None, None)
    if type(code) is not str or not _CODE.fullmatch(code) or depth > _DEEPEST:
        raise unclear("holds an array of no plain type")
    if code[0] == "O" or _has_objects(state, depth):
        return None
    flags = _part(state, _FLAGS_AT)
    if type(flags) is int and flags & _HAS_OBJECTS:
        raise unclear("says of numbers that they are objects")
    plain, stated = np.dtype(code), _part(state, _ITEM_BYTES_AT)
    return stated if plain.kind in _SIZED and type(stated) is int and stated >= 0 else plain.itemsize


def _has_objects(state: Any, depth: int) -> bool:
    """Whether a field, or the elements of a subarray, are Python objects."""
    fields, subarray = _part(state, _FIELDS_AT), _part(state, _SUBARRAY_AT)
    inner = list(fields.values())[:_MOST_FIELDS] if type(fields) is dict else []
    inner += [subarray] if subarray is not None else []
    return any(_item_bytes(_part(each, 0), depth + 1) is None for each in inner)


def _part(state: Any, at: int) -> Any:
    return state[at] if type(state) is tuple and len(state) > at else None
