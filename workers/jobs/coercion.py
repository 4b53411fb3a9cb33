"""Columns of a Parquet file, in the types that the model takes."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from shared.jobs.errors import UnreadableInput
from workers.jobs.first_failing import first_failing

_Check = Callable[[pa.DataType], bool]


def _is_number(given: pa.DataType) -> bool:
    return bool(kinds.is_integer(given) or kinds.is_floating(given) or kinds.is_boolean(given))


def _is_text(given: pa.DataType) -> bool:
    return bool(kinds.is_string(given) or kinds.is_large_string(given) or kinds.is_string_view(given))


_FITTING: dict[pa.DataType, _Check] = {
    pa.float64(): lambda given: _is_number(given) or kinds.is_decimal(given),
    pa.int64(): _is_number,
    pa.bool_(): kinds.is_boolean,
    pa.string(): _is_text,
}

_WORDS = {
    pa.float64(): "a number",
    pa.int64(): "a whole number",
    pa.bool_(): "true or false",
    pa.string(): "text",
}


def in_words(wanted: pa.DataType) -> str:
    """What a value of a model's type is, for people."""
    return _WORDS[wanted]


def can_coerce(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of a column can be handed to the model, but for some that may not fit."""
    if kinds.is_dictionary(given):
        given = given.value_type
    return kinds.is_null(given) or _FITTING[wanted](given)


def coerced(column: pa.Array, wanted: pa.DataType, *, name: str, first_row: int) -> pa.Array:
    """The values in the model's type. Whole numbers beyond 2**53 become the nearest float, as in numpy.

    Raises:
        UnreadableInput: a value does not fit: a fraction where whole numbers are wanted.
    """
    if column.type == wanted:
        return column
    try:
        return _cast(column, wanted)
    except pa.ArrowInvalid:
        row = first_failing(len(column), lambda rows: not _can_cast(column.slice(0, rows), wanted))
        value = column[row].as_py()
        raise UnreadableInput(
            f"{value!r} is not {_WORDS[wanted]}", row=first_row + row, column=name
        ) from None


def _cast(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    if kinds.is_floating(column.type) and wanted == pa.int64():
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column.cast(wanted, safe=wanted != pa.float64())


def _can_cast(column: pa.Array, wanted: pa.DataType) -> bool:
    try:
        _cast(column, wanted)
    except pa.ArrowInvalid:
        return False
    return True
