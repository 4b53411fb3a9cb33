"""From the columns of a binary body to the bytes that a model host reads: the same as rows of JSON become."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.catalog.verdict import Column, Datatype, Layout, Signature
from shared.errors import FieldError
from shared.predictions.rows import (
    MAX_ERRORS,
    TAKEN_IN_ORDER,
    InputMismatch,
    ignored_columns,
    refuse_columns,
)
from shared.predictions.values import COERCE, fault_of, travels_as
from shared.predictions.wire import encode

Values = (
    NDArray[Any] | list[Any]
)  # of one column: numbers or booleans, or Python values with None for missing

_WORDS = {
    Datatype.FP64: "numbers",
    Datatype.FP32: "numbers",
    Datatype.INT64: "whole numbers",
    Datatype.BOOL: "true or false",
    Datatype.BYTES: "text",
}


class Matched(msgspec.Struct, frozen=True):
    """Which of the columns sent feed the model: their positions, in the model's order."""

    positions: list[int]
    warnings: tuple[str, ...]


class ColumnReader:
    """Reads columns for one signature."""

    def __init__(self, signature: Signature, *, refuse_extra: bool = False) -> None:
        """Args: refuse_extra: columns that the model does not know are refused, not ignored."""
        self.columns, self._refuse_extra = signature.inputs, refuse_extra
        self.width = len(signature.inputs)
        self.is_matrix = signature.layout is Layout.MATRIX
        self.is_tensors = signature.layout is Layout.TENSORS
        self.datatypes = [travels_as(column, signature.layout) for column in signature.inputs]
        self._names = [column.name for column in signature.inputs]
        self._named = signature.named

    def match(self, names: Sequence[str]) -> Matched:
        """Find the model's inputs among the columns sent.

        Raises:
            InputMismatch: columns are missing, or a name stands for several.
        """
        if not self._named and not set(self._names) <= set(names):
            self._check_width(names)
            return Matched(list(range(self.width)), (TAKEN_IN_ORDER,))
        at = {name: position for position, name in enumerate(names)}
        self._refuse_missing(at)
        self._refuse_doubled(names)
        known = set(self._names)
        extra = [name for name in names if name not in known]
        if self._refuse_extra:
            refuse_columns([(name, None) for name in extra])
        return Matched([at[name] for name in self._names], ignored_columns(extra))

    def _check_width(self, names: Sequence[str]) -> None:
        if len(names) != self.width:
            raise InputMismatch(
                f"the model takes {self.width} columns in the order it was trained on, without names;"
                f" {len(names)} were sent"
            )

    def _refuse_missing(self, at: dict[str, int]) -> None:
        missing = [FieldError(message="missing", column=name) for name in self._names if name not in at]
        if missing:
            raise InputMismatch("columns are missing", missing[:MAX_ERRORS])

    def _refuse_doubled(self, names: Sequence[str]) -> None:
        counts = Counter(names)
        faults = [
            FieldError(message=f"sent {counts[name]} times", column=name)
            for name in self._names
            if counts[name] > 1
        ]
        if faults:
            raise InputMismatch("a name stands for several columns", faults[:MAX_ERRORS])

    def wrong_kind(self, at: int, given: str) -> InputMismatch:
        """The error for a column none of whose values can fit."""
        return self.wrong_column(at, f"expected {_WORDS[self.datatypes[at]]}, got {given}")

    def wrong_column(self, at: int, message: str) -> InputMismatch:
        """Likewise, with a message of its own."""
        fault = FieldError(message=message, column=self.columns[at].name)
        return InputMismatch("a column is of another type than the model takes", [fault])

    def pack(self, columns: Sequence[Values]) -> bytes:
        """Put the columns, given in the model's order, into the form that travels.

        Raises:
            InputMismatch: there are no rows, or values that do not fit; says for each the column and the row.
        """
        if not len(columns[0]):
            raise InputMismatch("there are no rows: send at least one")
        pack = _matrix_column if self.is_matrix else _table_column
        packed: list[Values] = []
        faults: list[FieldError] = []
        for column, datatype, values in zip(self.columns, self.datatypes, columns, strict=True):
            try:
                packed.append(pack(datatype, values))
            except (TypeError, OverflowError):
                faults += _faults(column, datatype, values)
        if faults:
            raise InputMismatch(f"the values do not fit the model's {self.width} inputs", faults[:MAX_ERRORS])
        return _interleaved(packed) if self.is_matrix else encode(packed)

    def pack_matrix(self, matrix: NDArray[Any]) -> bytes:
        """Put an array of shape (rows, columns), in the model's order, into the form that travels.

        Raises:
            InputMismatch: as `pack`.
        """
        if not self.is_matrix or not len(matrix):
            return self.pack([matrix[:, at] for at in range(self.width)])
        return canonical_floats(matrix).tobytes()


def _matrix_column(datatype: Datatype, values: Values) -> NDArray[np.float64]:
    if isinstance(values, list):
        return np.array([COERCE[datatype](value) for value in values], "<f8")
    return canonical_floats(values)


def _table_column(datatype: Datatype, values: Values) -> list[Any]:
    if isinstance(values, list):
        return list(map(COERCE[datatype], values))
    kind = values.dtype.kind
    if datatype is Datatype.FP64 and kind in "iufb":
        floats: list[Any] = canonical_floats(values).tolist()
        return floats
    if (datatype, kind) in {(Datatype.INT64, "i"), (Datatype.BOOL, "b")} or (
        datatype is Datatype.FP32 and values.dtype == np.float32
    ):
        exact: list[Any] = values.tolist()
        return exact
    return list(map(COERCE[datatype], values.tolist()))


def canonical_floats(values: NDArray[Any]) -> NDArray[np.float64]:
    """64-bit floats; every NaN the same one, so that equal rows are equal bytes."""
    floats = np.ascontiguousarray(values, "<f8")
    missing = np.isnan(floats)
    if not missing.any():
        return floats
    return np.where(missing, np.nan, floats)


def _interleaved(columns: Sequence[Values]) -> bytes:
    matrix = np.empty((len(columns[0]), len(columns)), "<f8")
    for at, column in enumerate(columns):
        matrix[:, at] = column
    return matrix.tobytes()


def _faults(column: Column, datatype: Datatype, values: Values) -> list[FieldError]:
    """The values of one column that do not fit, up to a number that can still be read."""
    faults: list[FieldError] = []
    for row, value in enumerate(values if isinstance(values, list) else values.tolist()):
        fault = fault_of(COERCE[datatype], value)
        if fault is not None:
            faults.append(FieldError(message=fault, column=column.name, row=row))
        if len(faults) == MAX_ERRORS:
            break
    return faults
