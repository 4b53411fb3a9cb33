"""Rows of columns that do not fit the model, told apart from those that do."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.jobs.errors import UnreadableInput
from shared.jobs.job import RowError
from workers.jobs.failing_rows import failing_rows

Feed = Callable[[int, pa.Array], object]  # the column of an input by its number; raises UnreadableInput


def sifted_rows(
    read: pa.RecordBatch, fed: Sequence[pa.Array], *, feed: Feed, first: int
) -> tuple[pa.Array, list[RowError]]:
    """Which rows fit, as booleans, and what is wrong with the others.

    Args:
        fed: the columns that feed the model's inputs.
        first: number of the first row in its chunk.
    """
    faults = unfit_rows(fed, feed)
    fits = np.ones(read.num_rows, bool)
    fits[list(faults)] = False
    refused = [
        RowError(row=first + row, column=fault.column, code=fault.code, message=str(fault))
        for row, fault in sorted(faults.items())
    ]
    return pa.array(fits), refused


def picked(read: pa.RecordBatch, rows: NDArray[np.int64]) -> pa.RecordBatch:
    """The rows of these numbers, which rise. In runs: not every type can be filtered."""
    if not len(rows):
        return read.slice(0, 0)
    runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    return pa.concat_batches([read.slice(int(run[0]), len(run)) for run in runs])


def unfit_rows(fed: Sequence[pa.Array], feed: Feed) -> dict[int, UnreadableInput]:
    """What is wrong with each row that does not fit; of several values, with that of the first column."""
    faults: dict[int, UnreadableInput] = {}
    for number, column in enumerate(fed):
        for row, fault in _faults(number, column, feed):
            faults.setdefault(row, fault)
    return faults


def _faults(number: int, column: pa.Array, feed: Feed) -> list[tuple[int, UnreadableInput]]:
    def fault(start: int, stop: int) -> UnreadableInput | None:
        try:
            feed(number, column.slice(start, stop - start))
        except UnreadableInput as error:
            return error
        return None

    return list(failing_rows(0, len(column), fault=fault))
