"""Rows of arrays (Layout.TENSORS): their shapes, and the form in which they travel.

All rows of the first input stand before those of the second. An input of numbers is their raw bytes,
little endian, row after row; one of text is a MessagePack list of all its texts, behind that list's length
in eight bytes.
Each input is padded with zeros to a multiple of eight bytes, so that a host reads every one without a copy.

Without numpy, which an API process of JSON alone does not need.
"""

import math
import struct
from collections.abc import Callable, Sequence
from itertools import chain
from math import prod
from typing import Annotated, Any, Final

import msgspec

from shared.catalog.verdict import Column, Datatype
from shared.errors import TooLarge
from shared.predictions.values import COERCE, FLOATS, WORDS, Unfit, fault_of, kind_of
from shared.predictions.wire import encode

MAX_BYTES: Final = 64 * 1024 * 1024  # of one request's arrays, as the model takes them
ITEM_BYTES: Final = {Datatype.FP64: 8, Datatype.FP32: 4, Datatype.INT64: 8, Datatype.BOOL: 1}
_FORMATS: Final = {Datatype.FP64: "d", Datatype.FP32: "f", Datatype.INT64: "q", Datatype.BOOL: "?"}
_TEXT_BYTES: Final = 8  # counted for a text, beside its letters
_LENGTH: Final = struct.Struct("<Q")
_PADDING: Final = [bytes(-length % 8) for length in range(8)]  # by length modulo eight

Buffer = bytes | memoryview


def elements(column: Column) -> int:
    """How many values one row has in the column."""
    return prod(column.shape)


def row_bytes(columns: Sequence[Column]) -> int:
    """What one row takes in the form that travels, text aside."""
    return sum(elements(column) * ITEM_BYTES.get(column.datatype, _TEXT_BYTES) for column in columns)


def check_size(columns: Sequence[Column], rows: int) -> None:
    """Let through what may travel.

    Raises:
        TooLarge: it is too much for one request.
    """
    size = rows * row_bytes(columns)
    if size > MAX_BYTES:
        raise TooLarge(
            f"{rows} rows are {size} bytes as the model takes them, and one request may have {MAX_BYTES}:"
            " send fewer rows at a time, or a Parquet file as a job"
        )


def required(datatype: Datatype) -> Callable[[Any], Any]:
    """The rule for a value in an array, where nothing but a float can be missing."""
    coerce = COERCE[datatype]
    if datatype in FLOATS:
        return coerce

    def coerce_given(value: Any) -> Any:
        coerced = coerce(value)
        if coerced is None:
            raise TypeError(WORDS[datatype])
        return coerced

    return coerce_given


def array_rule(column: Column) -> Callable[[Any], list[Any]]:
    """The rule for one row's nested lists: all values of them in one list, or an error that says where."""
    coerce, shape = required(column.datatype), column.shape

    def flatten(value: Any, axis: int, at: tuple[int, ...]) -> list[Any]:
        if axis == len(shape):
            return [_element(coerce, value, at)]
        if not isinstance(value, list | tuple):
            raise Unfit(f"{_wanted(shape, at)} got {kind_of(value)}")
        if len(value) != shape[axis]:
            raise Unfit(f"{_wanted(shape, at)} got {len(value)} parts where {shape[axis]} are wanted")
        parts = (flatten(part, axis + 1, (*at, number)) for number, part in enumerate(value))
        return list(chain.from_iterable(parts))

    return lambda value: flatten(value, 0, ())


def array_type(column: Column, element: Any) -> Any:
    """The type of one row's nested lists, for a decoder."""
    for size in reversed(column.shape):
        element = Annotated[list[element], msgspec.Meta(min_length=size, max_length=size)]
    return element


def flat(values: Sequence[Any], dimensions: int) -> Sequence[Any]:
    """The values of rows of nested lists, in one list."""
    for _ in range(dimensions):
        values = list(chain.from_iterable(values))
    return values


def pack_column(datatype: Datatype, values: Sequence[Any]) -> bytes:
    """All values of one column, in the form that travels.

    Raises:
        struct.error, OverflowError: one of them does not fit; of floats, None does.
    """
    if datatype is Datatype.BYTES:
        return pack_texts(values)
    layout = f"<{len(values)}{_FORMATS[datatype]}"
    try:
        return padded(struct.pack(layout, *values))
    except struct.error:
        if datatype not in FLOATS:
            raise
    return padded(struct.pack(layout, *(math.nan if value is None else value for value in values)))


def pack_texts(texts: Sequence[str]) -> bytes:
    """All texts of one column, in the form that travels."""
    encoded = encode(list(texts))
    return padded(_LENGTH.pack(len(encoded)) + encoded)


def padded(raw: bytes) -> bytes:
    """With zeros up to a multiple of eight bytes."""
    return raw + padding(len(raw))


def padding(length: int) -> bytes:
    """What is to follow so many bytes."""
    return _PADDING[length % 8]


def join_tensors(bodies: Sequence[Buffer], rows: Sequence[int], columns: Sequence[Column]) -> list[Buffer]:
    """The bodies of several requests as that of one: a buffer a piece, none of them copied but text.

    Args:
        rows: how many each body has.
    """
    if len(bodies) == 1:
        return list(bodies)
    views, at = [memoryview(body) for body in bodies], [0] * len(bodies)
    joined: list[Buffer] = []
    for column in columns:
        if column.datatype is Datatype.BYTES:
            joined.append(_joined_texts(views, at))
            continue
        size = elements(column) * ITEM_BYTES[column.datatype]
        pieces = [view[start : start + n * size] for view, start, n in zip(views, at, rows, strict=True)]
        joined += [*pieces, padding(sum(map(len, pieces)))]
        at = [start + _padded_bytes(n * size) for start, n in zip(at, rows, strict=True)]
    return joined


def _joined_texts(views: Sequence[memoryview], at: list[int]) -> bytes:
    """The texts of all bodies; moves each `at` behind its own."""
    texts: list[str] = []
    for number, (view, start) in enumerate(zip(views, at, strict=True)):
        (length,) = _LENGTH.unpack_from(view, start)
        start += _LENGTH.size  # noqa: PLW2901  a place that moves on
        texts += _decode_texts(view[start : start + length])
        at[number] = start + _padded_bytes(_LENGTH.size + length) - _LENGTH.size
    return pack_texts(texts)


def _padded_bytes(length: int) -> int:
    return (length + 7) & ~7


def _element(coerce: Callable[[Any], Any], value: Any, at: tuple[int, ...]) -> Any:
    try:
        return coerce(value)
    except (TypeError, OverflowError) as error:
        if not at:
            raise
        raise Unfit(f"at {list(at)}: {fault_of(coerce, value)}") from error


def _wanted(shape: Sequence[int], at: tuple[int, ...]) -> str:
    place = f"; at {list(at)} it" if at else ","
    return f"expected an array of shape {list(shape)}{place}"


_decode_texts = msgspec.msgpack.Decoder(list[str]).decode
