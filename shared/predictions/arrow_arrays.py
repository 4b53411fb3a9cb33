"""Arrays in columns of Arrow and Parquet: lists in lists, one flat list a row, or fixed shape tensors."""

from collections.abc import Sequence
from math import prod
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from shared.catalog.verdict import Column
from shared.predictions.arrow_values import can_fit

_SHOWN: Final = 100  # characters of a type


class ArrayUnfit(ValueError):
    """The array of one row does not fit; the text says why. `row` counts from the column's first."""

    def __init__(self, message: str, *, row: int) -> None:
        self.row = row
        super().__init__(message)


def array_fault(given: pa.DataType, wanted: Column) -> str | None:
    """Why no array in a column of this type can fit; None if they can."""
    told = f"expected arrays of shape {wanted.shape} of {wanted.datatype}, got {str(given)[:_SHOWN]}"
    if isinstance(given, pa.FixedShapeTensorType):
        permuted = given.permutation not in (None, list(range(len(given.shape))))
        if permuted or list(given.shape) != wanted.shape:
            return f"{told}: shapes must be the same, and not permuted"
        given = given.storage_type
    sizes, leaf = _lists_in(given)
    expected = _sizes_of(wanted, len(sizes))
    if expected is None or kinds.is_dictionary(leaf) or not can_fit(leaf, wanted.datatype):
        return told
    fixed = zip(sizes, expected, strict=True)
    return None if all(size in (None, size_wanted) for size, size_wanted in fixed) else told


def flattened(column: pa.Array, wanted: Column) -> pa.Array:
    """The values of all rows in one column. Its type was looked at by `array_fault`.

    Raises:
        ArrayUnfit: an array is missing, or has another number of values.
    """
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    sizes, _ = _lists_in(column.type)
    rows_apart = 1  # lists at this depth that one row has
    for size in _sizes_of(wanted, len(sizes)) or ():
        _check_lists(column, size, wanted, lists_a_row=rows_apart)
        column, rows_apart = column.flatten(), rows_apart * size
    return column


def _check_lists(column: pa.Array, size: int, wanted: Column, *, lists_a_row: int) -> None:
    if column.null_count:
        row = pc.index(column.is_null(), True).as_py() // lists_a_row
        raise ArrayUnfit(f"expected an array of shape {wanted.shape}, got null", row=row)
    if kinds.is_fixed_size_list(column.type):
        return
    wrong = pc.not_equal(pc.list_value_length(column), size)
    at = pc.index(wrong, True).as_py()
    if at >= 0:
        raise ArrayUnfit(
            f"expected an array of shape {wanted.shape}, got a list of {len(column[at])} where {size} are"
            " wanted",
            row=at // lists_a_row,
        )


def _lists_in(given: pa.DataType) -> tuple[list[int | None], pa.DataType]:
    """The sizes of the lists in each other, None where they vary, and the type of what is in the last."""
    sizes: list[int | None] = []
    while kinds.is_list(given) or kinds.is_large_list(given) or kinds.is_fixed_size_list(given):
        sizes.append(given.list_size if kinds.is_fixed_size_list(given) else None)
        given = given.value_type
    return sizes, given


def _sizes_of(wanted: Column, depth: int) -> Sequence[int] | None:
    """How long lists must be, in so many levels: each as the shape says, or one for all of it."""
    if depth == len(wanted.shape):
        return wanted.shape
    return [prod(wanted.shape)] if depth == 1 and wanted.shape else None
