"""Batches through a model host, so that it computes one while the next is read and the last is written."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as kinds
from numpy.typing import NDArray

from shared.catalog.verdict import Signature
from shared.jobs.errors import UnreadableInput
from workers.hosting.call import Prediction
from workers.hosting.errors import ModelFailed
from workers.hosting.process import HostProcess
from workers.jobs.batch import Batch, submit
from workers.jobs.first_failing import first_failing


class RowsRefused(UnreadableInput):
    """The model raised an error on these rows. Its `row` counts from the first row of the chunk."""

    code = "model_failed"


class BatchPredictor:
    """Predicts the batches of one chunk in one host."""

    def __init__(self, host: HostProcess, signature: Signature, *, timeout_s: float) -> None:
        self._host, self._signature, self._timeout_s = host, signature, timeout_s
        self._rows_before = 0

    def predict(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Prediction]]:
        """Each batch with its prediction, in order. One batch is ahead of the one that is given out.

        Raises:
            RowsRefused: the model cannot predict a row.
            HostDied, HostTimedOut: the host gives no answer.
        """
        ahead: Batch | None = None
        for batch in batches:
            submit(self._host, batch, self._signature)
            if ahead is not None:
                yield ahead, self._answer(ahead, following=True)
            ahead = batch
        if ahead is not None:
            yield ahead, self._answer(ahead, following=False)

    def _answer(self, batch: Batch, *, following: bool) -> Prediction:
        try:
            prediction = self._host.receive(timeout_s=self._timeout_s)
        except ModelFailed as failure:
            if following:
                self._skip_answer()
            raise self._refusal(batch, failure) from failure
        self._rows_before += batch.rows
        return prediction

    def _skip_answer(self) -> None:
        """Take the answer to the next batch out of the way."""
        try:
            self._host.receive(timeout_s=self._timeout_s)
        except ModelFailed:
            return

    def _refusal(self, batch: Batch, failure: ModelFailed) -> RowsRefused:
        row = first_failing(batch.rows, lambda rows: self._fails(batch.head(rows)))
        column = _missing_value(batch.inputs.slice(row, 1))
        return RowsRefused(str(failure), row=self._rows_before + row, column=column)

    def _fails(self, batch: Batch) -> bool:
        submit(self._host, batch, self._signature)
        try:
            self._host.receive(timeout_s=self._timeout_s)
        except ModelFailed:
            return True
        return False


def prediction_columns(prediction: Prediction, schema: pa.Schema) -> list[pa.Array]:
    """The main output, which was asked for alone, as columns: one, or one each of its numbers."""
    (main,) = prediction.outputs.values()
    if kinds.is_list(schema[0].type):
        return [_lists(main, schema[0].type)]
    columns = [main] if len(schema) == 1 and _is_flat(main) else _across(main)
    return [_array(column, field.type) for column, field in zip(columns, schema, strict=True)]


def _lists(main: list[Any] | NDArray[np.generic], wanted: pa.DataType) -> pa.Array:
    """Arrays as lists in lists."""
    if not isinstance(main, np.ndarray):
        return pa.array(main, wanted)
    values = pa.array(main.reshape(-1))
    for size in reversed(main.shape[1:]):
        offsets = np.arange(0, len(values) + 1, size, dtype=np.int32)
        values = pa.ListArray.from_arrays(offsets, values)
    return values.cast(wanted)


def _is_flat(main: list[Any] | NDArray[np.generic]) -> bool:
    return main.ndim == 1 if isinstance(main, np.ndarray) else not isinstance(main[0], list)


def _across(main: list[Any] | NDArray[np.generic]) -> list[Any]:
    return (
        list(main.reshape(len(main), -1).T)
        if isinstance(main, np.ndarray)
        else [list(column) for column in zip(*main, strict=True)]
    )


def _array(values: Any, wanted: pa.DataType) -> pa.Array:
    array = pa.array(np.ascontiguousarray(values) if isinstance(values, np.ndarray) else values)
    return array if array.type == wanted else array.cast(wanted)


def _missing_value(row: pa.Table) -> str | None:
    """The column of the row whose value is missing or no finite number, if there is one."""
    for name in row.column_names:
        value = row[name][0].as_py()
        if value is None or (isinstance(value, float) and not np.isfinite(value)):
            return str(name)
    return None
