"""The rules of `values` for whole columns of Arrow, Parquet and CSV.

A column of a type that can hold fitting values is cast at once. Where one of them does not fit, the cast is
refused, and `listed` gives the values to the rules for single ones, which say what is wrong and where.
"""

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.types as kinds

from shared.catalog.verdict import Datatype
from shared.predictions.values import EXACT, FLOATS

ARROW_TYPES: Final[dict[Datatype, pa.DataType]] = {
    Datatype.FP64: pa.float64(),
    Datatype.FP32: pa.float32(),
    Datatype.INT64: pa.int64(),
    Datatype.BOOL: pa.bool_(),
    Datatype.BYTES: pa.string(),
}
_NUMBERS: Final = FLOATS | {Datatype.INT64}

# What stands for a missing value in CSV, as pandas has it.
MISSING_IN_CSV: Final = frozenset(pacsv.ConvertOptions().null_values)
_TRUE, _FALSE = pa.array(["1", "true", "True", "TRUE"]), pa.array(["0", "false", "False", "FALSE"])
_WHOLE: Final = r"^(-?[0-9]+|0[xX][0-9a-fA-F]+)$"  # what Arrow's own reader of CSV takes


def values_type(given: pa.DataType) -> pa.DataType:
    """The type of a column's values: of those in its dictionary, if it has one."""
    return given.value_type if kinds.is_dictionary(given) else given


def is_number(given: pa.DataType) -> bool:
    """Whether values of the type are numbers, or true and false, which stand for 1 and 0."""
    numbers = kinds.is_integer(given) or kinds.is_floating(given) or kinds.is_decimal(given)
    return bool(numbers or kinds.is_boolean(given))


def is_text(given: pa.DataType) -> bool:
    """Whether values of the type are text."""
    return bool(kinds.is_string(given) or kinds.is_large_string(given) or kinds.is_string_view(given))


def is_moment(given: pa.DataType) -> bool:
    """Whether values of the type are dates or times, which are text in ISO 8601."""
    return bool(kinds.is_date(given) or kinds.is_timestamp(given) or kinds.is_time(given))


def can_fit(given: pa.DataType, wanted: Datatype) -> bool:
    """Whether values of a column can be handed to the model, but for some that may not fit."""
    values = values_type(given)
    if kinds.is_null(values):
        return True
    if wanted in _NUMBERS:
        return is_number(values)
    if wanted is Datatype.BOOL:
        return bool(kinds.is_boolean(values))
    return is_text(values) or is_moment(values)


def coerced(column: pa.Array, wanted: Datatype) -> pa.Array:
    """The values in the type that travels. NaN in a column of whole numbers is a missing one.

    Raises:
        pa.ArrowInvalid: one of them does not fit.
    """
    if not can_fit(column.type, wanted):
        raise pa.ArrowInvalid(f"values of {column.type} do not fit {wanted}")
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.type == ARROW_TYPES[wanted] or kinds.is_null(column.type):
        return column.cast(ARROW_TYPES[wanted])
    if wanted is Datatype.BYTES:
        return _iso(column) if is_moment(column.type) else column.cast(pa.string())
    if wanted is Datatype.INT64 and kinds.is_floating(column.type):
        return _whole(column.cast(pa.float64()))
    if wanted in FLOATS:
        wide = _wide(column)
        return wide if wanted is Datatype.FP64 else _single(wide)
    return column.cast(ARROW_TYPES[wanted])


def parsed(texts: pa.Array, wanted: Datatype) -> pa.Array:
    """Fields of CSV in the type that travels. What Arrow's own reader takes, this takes alike; and more.

    Args:
        texts: as they are written, without their quotes; nulls are missing values.

    Raises:
        pa.ArrowInvalid: one of them does not fit.
    """
    if wanted is Datatype.BYTES:
        return texts.cast(pa.string())
    trimmed = pc.utf8_trim_whitespace(texts)
    # Without quotes they would be missing: what is to be no text means nothing else in them.
    missing = pc.is_in(trimmed, pa.array(MISSING_IN_CSV, pa.string()))
    trimmed = pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)
    true, false = pc.is_in(trimmed, _TRUE), pc.is_in(trimmed, _FALSE)
    if wanted is Datatype.BOOL:
        known = pc.or_(pc.or_(true, false), pc.is_null(trimmed))
        if not pc.all(known).as_py() and len(known):
            raise pa.ArrowInvalid("neither true nor false")
        return pc.if_else(pc.is_null(trimmed), pa.scalar(None, pa.bool_()), true)
    numbers = pc.if_else(true, "1", pc.if_else(false, "0", trimmed))
    return _parsed_whole(numbers) if wanted is Datatype.INT64 else coerced(numbers.cast(pa.float64()), wanted)


def listed(column: pa.Array, wanted: Datatype) -> list[Any]:
    """The values of a column whose cast was refused, as the rules for single values take them."""
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    if kinds.is_float16(column.type):
        column = column.cast(pa.float64())
    if wanted is Datatype.BYTES and is_moment(column.type):
        column = _iso(column)
    values: list[Any] = column.to_pylist()
    return values


def _wide(column: pa.Array) -> pa.Array:
    """The nearest 64-bit floats. Arrow's own way from a decimal is not always the nearest one."""
    if kinds.is_decimal(column.type):
        column = column.cast(pa.string())
    return column.cast(pa.float64(), safe=False)


def _single(wide: pa.Array) -> pa.Array:
    single = wide.cast(pa.float32(), safe=False)
    if pc.any(pc.and_(pc.is_inf(single), pc.is_finite(wide))).as_py():
        raise pa.ArrowInvalid("too large for FP32")
    return single


def _whole(floats: pa.Array) -> pa.Array:
    floats = pc.if_else(pc.is_nan(floats), pa.scalar(None, pa.float64()), floats)
    if pc.any(pc.greater(pc.abs(floats), float(EXACT))).as_py():
        raise pa.ArrowInvalid("a float beyond 2**53 is no exact whole number")
    return floats.cast(pa.int64())


def _parsed_whole(texts: pa.Array) -> pa.Array:
    """Whole numbers; those that are spelled as floats, as pandas does beside missing values, where exact."""
    spelled = pc.match_substring_regex(texts, _WHOLE)
    none = pa.scalar(None, pa.string())
    exact = pc.if_else(spelled, texts, none).cast(pa.int64())
    return pc.coalesce(exact, _whole(pc.if_else(spelled, none, texts).cast(pa.float64())))


def _iso(column: pa.Array) -> pa.Array:
    """Dates and times as text, by ISO 8601: 2026-01-31, 2026-01-31T12:00:00.5, in UTC with a Z.

    The same moment is the same text, whatever the unit that its column counts in.
    """
    zoned = kinds.is_timestamp(column.type) and column.type.tz is not None
    if zoned:
        column = column.cast(pa.timestamp(column.type.unit))  # the moment in UTC, which is what is stored
    text = pc.replace_substring(column.cast(pa.string()), " ", "T", max_replacements=1)
    text = pc.replace_substring_regex(text, r"(\.[0-9]*?)0+$", r"\1")
    text = pc.replace_substring_regex(text, r"\.$", "")
    return pc.binary_join_element_wise(text, "Z", "") if zoned else text
