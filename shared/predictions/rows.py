"""From the rows of a JSON request to the bytes that a model host reads.

A reader is made once for a version, from its signature; it has a fast way for rows that fit and a
slow one that finds out what is wrong, and where.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from shared.catalog.verdict import Column, Layout, Signature
from shared.errors import FieldError, InvalidInput
from shared.predictions.tensors import array_rule, check_size, flat, pack_column
from shared.predictions.values import COERCE, as_float, fault_of, kind_of, travels_as
from shared.predictions.wire import encode

MAX_ERRORS = 20  # told in one answer; the first few say it all
_NAME_SHOWN = 80  # characters of a name that the sender made up

TAKEN_IN_ORDER = (
    "the model knows no column names (it was trained on a bare array): "
    "the values were taken in the order given"
)

NamedRow = Mapping[str, Any]
BareRow = Sequence[Any]
Row = NamedRow | BareRow


class InputMismatch(InvalidInput):
    """Rows that do not fit the model's signature."""

    code = "input_mismatch"


class ReadRows(msgspec.Struct, frozen=True):
    """Rows in the form that travels, and what their sender should know."""

    body: bytes
    rows: int
    warnings: tuple[str, ...] = ()


class RowReader:
    """Reads rows for one signature."""

    def __init__(self, signature: Signature, *, refuse_extra: bool = False) -> None:
        """Args: refuse_extra: columns that the model does not know are refused, not ignored."""
        self._columns, self._refuse_extra = signature.inputs, refuse_extra
        self._names = [column.name for column in signature.inputs]
        self._named = signature.named
        self._width = len(self._names)
        self._layout = signature.layout
        self._coerce = [rule_of(column, signature.layout) for column in signature.inputs]
        self._pack = struct.Struct(f"<{self._width}d").pack

    def read(self, rows: Sequence[Any]) -> ReadRows:
        """Put the rows into the form that travels.

        Args:
            rows: each an object with the model's column names, or an array in the model's order.

        Raises:
            InputMismatch: says for each fault the column and the row.
        """
        if not rows:
            raise InputMismatch("`inputs` is empty: send at least one row")
        values, warnings = self._in_order(rows)
        try:
            body = self._packed(values)
        except (struct.error, TypeError, OverflowError):
            raise InputMismatch(
                f"the values do not fit the model's {self._width} inputs", self._faults(values)
            ) from None
        return ReadRows(body, len(rows), warnings)

    def _packed(self, rows: Sequence[BareRow]) -> bytes:
        match self._layout:
            case Layout.MATRIX:
                return self._pack_matrix(rows)
            case Layout.TENSORS:
                return self._pack_tensors(rows)
        return self._pack_table(rows)

    def _pack_matrix(self, rows: Sequence[BareRow]) -> bytes:
        try:
            return b"".join([self._pack(*row) for row in rows])
        except struct.error:  # a null is a missing value; anything else is a fault
            return b"".join([self._pack(*map(as_float, row)) for row in rows])

    def _pack_table(self, rows: Sequence[BareRow]) -> bytes:
        columns = zip(*rows, strict=True)
        return encode([list(map(c, column)) for c, column in zip(self._coerce, columns, strict=True)])

    def _pack_tensors(self, rows: Sequence[BareRow]) -> bytes:
        check_size(self._columns, len(rows))
        packed = []
        for column, rule, values in zip(self._columns, self._coerce, zip(*rows, strict=True), strict=True):
            packed.append(pack_column(column.datatype, flat(list(map(rule, values)), 1)))
        return b"".join(packed)

    def _in_order(self, rows: Sequence[Any]) -> tuple[Sequence[BareRow], tuple[str, ...]]:
        """Each row's values in the order of the model's inputs."""
        if isinstance(rows[0], Mapping):
            return self._by_name(rows)
        for number, row in enumerate(rows):
            self._check_array(row, number)
        return rows, ()

    def _by_name(self, rows: Sequence[NamedRow]) -> tuple[Sequence[BareRow], tuple[str, ...]]:
        names = self._names
        warnings: tuple[str, ...] = ()
        if not self._named and not set(names) <= set(rows[0]):
            names = list(rows[0])
            warnings = (TAKEN_IN_ORDER,)
            self._check_array(names, 0)
        pick = itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)
        try:
            values = [pick(row) for row in rows]
        except (KeyError, TypeError, IndexError):
            raise InputMismatch("columns are missing", _missing(rows, names)) from None
        if self._refuse_extra:
            refuse_columns(
                [(name, number) for number, row in enumerate(rows) for name in _unknown(row, names)]
            )
        return values, warnings + ignored_columns(_unknown(rows[0], names))

    def _check_array(self, row: Any, number: int) -> None:
        if not isinstance(row, list | tuple):
            raise InputMismatch(
                "rows are objects with column names, or arrays, and all of one kind",
                [FieldError(message=f"expected an array, got {kind_of(row)}", row=number)],
            )
        if len(row) != self._width:
            message = f"expected {self._width} values ({', '.join(self._names[:8])}{'…' * (self._width > 8)}), got {len(row)}"  # noqa: E501, PLR2004
            raise InputMismatch(
                "a row has the wrong number of values", [FieldError(message=message, row=number)]
            )

    def _faults(self, rows: Sequence[BareRow]) -> list[FieldError]:
        """Every value that does not fit, up to a number that can still be read."""
        faults: list[FieldError] = []
        for number, row in enumerate(rows):
            for column, coerce, value in zip(self._columns, self._coerce, row, strict=True):
                fault = fault_of(coerce, value)
                if fault is not None:
                    faults.append(FieldError(message=fault, column=column.name, row=number))
                if len(faults) == MAX_ERRORS:
                    return faults
        return faults


def rule_of(column: Column, layout: Layout) -> Callable[[Any], Any]:
    """What a value of the column must be: of an array, all that is in it."""
    return array_rule(column) if layout is Layout.TENSORS else COERCE[travels_as(column, layout)]


def ignored_columns(extra: Sequence[str]) -> tuple[str, ...]:
    """What the sender of columns that the model does not know is told."""
    if not extra:
        return ()
    told = ", ".join(repr(name[:_NAME_SHOWN]) for name in extra[:MAX_ERRORS])
    return (f"not inputs of the model, and ignored: {told}",)


def refuse_columns(extra: Sequence[tuple[str, int | None]]) -> None:
    """Refuse columns that the model does not know, each given with its row where it is of one.

    Raises:
        InputMismatch: there are any.
    """
    if extra:
        faults = [
            FieldError(message="not an input of the model", column=name[:_NAME_SHOWN], row=row)
            for name, row in extra[:MAX_ERRORS]
        ]
        raise InputMismatch("the model is set to refuse columns that it does not take", faults)


def _unknown(row: NamedRow, names: Sequence[str]) -> Sequence[str]:
    if len(row) == len(names):
        return ()
    known = set(names)
    return [name for name in row if name not in known]


def _missing(rows: Sequence[Any], names: Sequence[str]) -> list[FieldError]:
    """Which columns are missing from which rows."""
    faults: list[FieldError] = []
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            faults.append(FieldError(message=f"expected an object, got {kind_of(row)}", row=number))
            continue
        faults += [
            FieldError(message="missing", column=name, row=number) for name in names if name not in row
        ]
    return faults[:MAX_ERRORS]
