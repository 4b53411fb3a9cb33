"""What each datatype takes: the rules for one value, whatever format it came in.

docs/reference/values.md has them as a table. JSON is read by these as they stand; `arrow_values` says the
same of whole columns of Arrow, Parquet and CSV. What a fast way refuses is read again by these, which have
the last word, and say what is wrong.
"""

import math
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from shared.catalog.verdict import Column, Datatype, Layout

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
FLOATS: Final = frozenset({Datatype.FP64, Datatype.FP32})
EXACT: Final = 2**53  # beyond it a float stands for several whole numbers
# As the JSON of Protocol Buffers spells what JSON has no numbers for, and with it the protocol's gRPC side.
SPELLED: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

WORDS: Final = {
    Datatype.FP64: "a number",
    Datatype.FP32: "a number",
    Datatype.INT64: "a whole number",
    Datatype.BOOL: "true or false",
    Datatype.BYTES: "text",
}
_SINGLE: Final = struct.Struct("<f")


class Unfit(TypeError):
    """A value that does not fit, where more is to be said than what was expected: the text is all of it."""


def as_float(value: Any) -> float:
    """A number as a 64-bit float, the nearest; a missing one as NaN."""
    if value is None:
        return math.nan
    if isinstance(value, bool | int | float | Decimal):
        try:
            return float(value)
        except OverflowError:
            raise OverflowError(_too_large(Datatype.FP64)) from None
    if isinstance(value, str) and value in SPELLED:
        return SPELLED[value]
    raise TypeError(WORDS[Datatype.FP64])


def as_single(value: Any) -> float:
    """Likewise as a 32-bit float, which Python holds as one of 64 bits."""
    wide = as_float(value)
    try:
        single: float = _SINGLE.unpack(_SINGLE.pack(wide))[0]
    except OverflowError:
        raise OverflowError(_too_large(Datatype.FP32)) from None
    return single


def as_int(value: Any) -> int | None:
    """A whole number of 64 bits, which may be spelled as a float where that is exact."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float):
        if not value.is_integer():
            raise TypeError(WORDS[Datatype.INT64])
        if abs(value) > EXACT:
            raise OverflowError("as a float it is not exact beyond 2**53: send an integer")
    elif not isinstance(value, bool | int) and not (isinstance(value, Decimal) and _is_whole(value)):
        raise TypeError(WORDS[Datatype.INT64])
    whole = int(value)
    if not INT64_MIN <= whole <= INT64_MAX:
        raise OverflowError(_too_large(Datatype.INT64))
    return whole


def as_bool(value: Any) -> bool | None:
    """True or false; numbers are neither."""
    if value is None or isinstance(value, bool):
        return value
    raise TypeError(WORDS[Datatype.BOOL])


def as_text(value: Any) -> str | None:
    """Text; numbers are none."""
    if value is None or isinstance(value, str):
        return value
    raise TypeError(WORDS[Datatype.BYTES])


# A value as one of the datatype. TypeError says what was expected; OverflowError, what makes it too large.
COERCE: Final[dict[Datatype, Callable[[Any], Any]]] = {
    Datatype.FP64: as_float,
    Datatype.FP32: as_single,
    Datatype.INT64: as_int,
    Datatype.BOOL: as_bool,
    Datatype.BYTES: as_text,
}


def travels_as(column: Column, layout: Layout) -> Datatype:
    """The datatype in which a column's values reach the model."""
    return Datatype.FP64 if layout is Layout.MATRIX else column.datatype


def fault_of(coerce: Callable[[Any], Any], value: Any) -> str | None:
    """What is wrong with a value, for its sender; None if it fits."""
    try:
        coerce(value)
    except Unfit as error:
        return str(error)
    except TypeError as expected:
        return f"expected {expected}, got {kind_of(value)}"
    except OverflowError as error:
        return str(error)
    return None


def kind_of(value: Any) -> str:
    """What JSON calls the value, with the value where it is short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float | Decimal):
        return f"the number {_shown(value)}"[:60]
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return "an array" if isinstance(value, list | tuple) else "an object"


def _shown(number: float | Decimal) -> str:
    if isinstance(number, int) and abs(number) >= 10**40:
        return "of more than 40 digits"  # Python refuses to write out very long ones
    return str(number)


def _is_whole(value: Decimal) -> bool:
    return value.is_finite() and value == value.to_integral_value()


def _too_large(datatype: Datatype) -> str:
    return f"too large for {datatype}"
