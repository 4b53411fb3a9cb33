"""Columns of a file in the types that the model takes, or what is wrong with them, and in which row."""

import pyarrow as pa

from shared.catalog.verdict import Datatype
from shared.jobs.errors import UnreadableInput
from shared.predictions.arrow_values import coerced, listed
from shared.predictions.values import COERCE, WORDS


def coerced_column(column: pa.Array, wanted: Datatype, *, name: str, first_row: int) -> pa.Array:
    """The values as the model takes them.

    Raises:
        UnreadableInput: one does not fit: a fraction where whole numbers are wanted.
    """
    try:
        return coerced(column, wanted)
    except pa.ArrowInvalid as error:
        for row, value in enumerate(listed(column, wanted)):
            fault = _unfit(value, wanted)
            if fault is not None:
                raise UnreadableInput(fault, row=first_row + row, column=name) from None
        raise UnreadableInput(f"the column {name!r} cannot be read: {error}", row=first_row) from None


def _unfit(value: object, wanted: Datatype) -> str | None:
    """What is wrong with a value, in words; None if it fits."""
    try:
        COERCE[wanted](value)
    except TypeError:
        return f"{value!r} is not {WORDS[wanted]}"
    except OverflowError as error:
        return f"{value!r} does not fit: {error}"
    return None
