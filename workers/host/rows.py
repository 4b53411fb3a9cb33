"""Makes what a model takes of what a call carries: a matrix without copying, or a table."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from shared.catalog.verdict import Column, Datatype, Layout, Signature
from workers.host.arrays import array_of, read_arrays
from workers.host.protocol import Predict

Tensors = dict[str, NDArray[Any]]  # an array an input, each with one entry a row
Rows = NDArray[np.float64] | pd.DataFrame | Tensors  # as the signature's layout says

_decode_columns = msgspec.msgpack.Decoder(list[list[Any]]).decode

_EXACT = 2**53  # beyond it a float stands for several whole numbers

_ARROW: dict[Datatype, pa.DataType] = {
    Datatype.FP64: pa.float64(),
    Datatype.FP32: pa.float32(),
    Datatype.INT64: pa.int64(),
    Datatype.BOOL: pa.bool_(),
    Datatype.BYTES: pa.string(),
}


class RowReader:
    """Reads the rows of calls for one model."""

    def __init__(self, signature: Signature, none_columns: frozenset[str]) -> None:
        self._inputs = signature.inputs
        self._matrix = signature.layout is Layout.MATRIX
        self._tensors = signature.layout is Layout.TENSORS
        self._index = table_index(signature)
        self._none_columns = none_columns
        self._readers: dict[str, Callable[[Predict, memoryview], Rows]] = {
            "matrix": self._from_matrix,
            "columns": self._from_columns,
            "arrow": self._from_arrow,
            "tensors": self._from_tensors,
        }

    def read(self, call: Predict, source: memoryview) -> Rows:
        """The rows of a call whose input is `source`."""
        return self._readers[call.kind](call, source)

    def from_lists(self, columns: Sequence[list[Any]], rows: int) -> Rows:
        """The rows whose values are given column by column; None is a missing value."""
        if self._matrix:
            return np.array(columns, np.float64).T.reshape(rows, len(self._inputs))
        pairs = zip(self._inputs, columns, strict=True)
        if self._tensors:
            return {column.name: array_of(values, column, rows) for column, values in pairs}
        return self._table([self._column(values, column) for column, values in pairs], rows)

    def _from_matrix(self, call: Predict, source: memoryview) -> Rows:
        matrix = np.frombuffer(source, np.float64).reshape(call.rows, len(self._inputs))
        return matrix if self._matrix else pd.DataFrame(matrix, columns=self._index, copy=False)

    def _from_columns(self, call: Predict, source: memoryview) -> Rows:
        return self.from_lists(_decode_columns(source), call.rows)

    def _from_tensors(self, call: Predict, source: memoryview) -> Rows:
        return read_arrays(self._inputs, call.rows, source)

    def _table(self, columns: list[NDArray[Any]], rows: int) -> pd.DataFrame:
        """One column each, side by side without a copy."""
        # The public constructor takes ten times as long for one row, and turns text into another dtype.
        return pd.DataFrame._from_arrays(  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001
            columns, columns=self._index, index=pd.RangeIndex(rows), verify_integrity=False
        )

    def _column(self, values: list[Any], column: Column) -> NDArray[Any]:
        match column.datatype:
            case Datatype.FP64:
                return np.array(values, np.float64)  # None becomes NaN
            case Datatype.INT64 | Datatype.BOOL if None not in values:
                return np.array(values, np.int64 if column.datatype is Datatype.INT64 else np.bool_)
            case Datatype.FP32:
                return np.array(values, np.float32)
            case Datatype.INT64:
                _refuse_inexact(any(abs(value) > _EXACT for value in values if value is not None), column)
                return np.array(values, np.float64)
        return self._objects(np.array(values, object), column)

    def _objects(self, values: NDArray[Any], column: Column) -> NDArray[Any]:
        if column.name not in self._none_columns:
            values[pd.isna(values)] = np.nan
        return values

    def _from_arrow(self, call: Predict, source: memoryview) -> Rows:
        with pa.ipc.open_stream(pa.py_buffer(source)) as stream:
            table = stream.read_all()
        return self._table(
            [self._arrow_column(table[column.name], column) for column in self._inputs], call.rows
        )

    def _arrow_column(self, chunks: pa.ChunkedArray, column: Column) -> NDArray[Any]:
        wanted = _ARROW[column.datatype]
        values = chunks if chunks.type == wanted else chunks.cast(wanted)
        if column.datatype is Datatype.INT64 and values.null_count:
            known = values.fill_null(0).to_numpy()
            _refuse_inexact(bool(((known > _EXACT) | (known < -_EXACT)).any()), column)
        if column.datatype in {Datatype.BYTES, Datatype.BOOL} and values.null_count:
            return self._objects(values.to_numpy(), column)
        return values.to_numpy()  # type: ignore[no-any-return]  # nulls of integers become NaN


def row_count(rows: Rows) -> int:
    """How many rows there are."""
    return len(next(iter(rows.values()))) if isinstance(rows, dict) else len(rows)


def rows_at(rows: Any, at: Sequence[int]) -> Any:
    """The rows at these places, as often as they are named."""
    if isinstance(rows, dict):
        return {name: values[list(at)] for name, values in rows.items()}
    return rows.iloc[list(at)].reset_index(drop=True) if isinstance(rows, pd.DataFrame) else rows[list(at)]


def _refuse_inexact(found: bool, column: Column) -> None:
    """Whole numbers beside missing ones are floats, as pandas holds them.

    Raises:
        ValueError: one was found that would become another number.
    """
    if found:
        raise ValueError(
            f"the column {column.name!r} has missing values, beside which no whole number may be beyond 2**53"
        )


def table_index(signature: Signature) -> "pd.Index[Any]":
    """The columns' names; their numbers where the model knows no names."""
    if not signature.named:
        return pd.RangeIndex(len(signature.inputs))
    return pd.Index([column.name for column in signature.inputs], dtype=object)
