"""Rows on their way from a file through a model host into a part."""

from collections.abc import Iterator, Sequence
from math import prod

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.catalog.verdict import Layout, Output, Signature
from shared.jobs.job import RowError
from workers.hosting.call import PredictCall, SlotInput
from workers.hosting.process import HostProcess
from workers.jobs.arrays import packed_arrays
from workers.jobs.columns import takes_matrix

# Rows that are turned from columns into rows at a time: 30 columns of them stay within a core's own cache.
_TURNED_ROWS = 1024
_MOST_ANSWERED = 4 * 1024 * 1024  # values in the predictions of one batch: 32 MiB


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Rows for one call of the model.

    Attributes:
        inputs: the model's columns, in its order and under its names.
        carried: what goes into the output beside the predictions: a table for Parquet, an array of lines
            for CSV, of the beginnings of objects for JSON Lines, None where nothing does, or where the join
            takes it from the input.
        numbers: of the rows in their chunk, from 0; some are left out where rows do not fit.
        refused: those that stand before, between or right behind these rows, in order.
    """

    inputs: pa.Table
    carried: pa.Table | pa.Array | None
    numbers: NDArray[np.int64]
    refused: Sequence[RowError] = ()

    @property
    def rows(self) -> int:
        """How many."""
        return int(self.inputs.num_rows)

    def moved(self, rows: int) -> "Batch":
        """The same with so many rows of the chunk before it."""
        refused = [msgspec.structs.replace(error, row=error.row + rows) for error in self.refused]
        return msgspec.structs.replace(self, numbers=self.numbers + rows, refused=refused)

    def part(self, start: int, rows: int) -> "Batch":
        """Up to `rows` of its rows, without those that were refused."""
        return Batch(
            inputs=self.inputs.slice(start, rows),
            carried=None if self.carried is None else self.carried.slice(start, rows),
            numbers=self.numbers[start : start + rows],
        )


def sliced(batch: Batch, rows: int) -> Iterator[Batch]:
    """The batch in batches of at most `rows`."""
    if not batch.refused:
        yield from (batch.part(start, rows) for start in range(0, batch.rows, rows))
        return
    left = list(batch.refused)
    for start in range(0, max(batch.rows, 1), rows):
        part = batch.part(start, rows)
        is_last = start + rows >= batch.rows
        refused = [error for error in left if is_last or error.row < part.numbers[-1]]
        left = left[len(refused) :]
        yield msgspec.structs.replace(part, refused=refused)


def rows_a_batch(outputs: Sequence[Output], most_rows: int) -> int:
    """How many rows make a batch: fewer where each is answered by many numbers, all outputs together."""
    numbers = sum(prod(output.shape) for output in outputs)
    return max(1, min(most_rows, _MOST_ANSWERED // max(1, numbers)))


def submit(
    host: HostProcess, batch: Batch, signature: Signature, *, outputs: Sequence[str] | None = None
) -> None:
    """Write the rows into the host's shared memory and ask for these outputs; None: for the main one."""
    if signature.layout is Layout.TENSORS:
        slot = SlotInput("tensors", _write_arrays(host, batch, signature))
    elif takes_matrix(signature):
        slot = SlotInput("matrix", _write_matrix(host, batch))
    else:
        slot = SlotInput("arrow", _write_arrow(host, batch))
    host.submit(PredictCall(rows=batch.rows, slot=slot, outputs=outputs, reply_as="arrays"))


def _write_arrays(host: HostProcess, batch: Batch, signature: Signature) -> int:
    pieces = packed_arrays(batch.inputs, signature.inputs)
    size = sum(map(len, pieces))
    area, at = host.slot(size), 0
    for piece in pieces:
        area[at : at + len(piece)] = piece
        at += len(piece)
    return size


def _write_matrix(host: HostProcess, batch: Batch) -> int:
    """Row after row as the model wants them, exactly: nulls become NaN."""
    columns = [_numbers(column) for column in batch.inputs.columns]
    size = batch.rows * len(columns) * 8
    matrix = np.frombuffer(host.slot(size), np.float64).reshape(batch.rows, len(columns))
    for start in range(0, batch.rows, _TURNED_ROWS):
        rows = slice(start, start + _TURNED_ROWS)
        for at, column in enumerate(columns):
            matrix[rows, at] = column[rows]
    return size


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = column.to_numpy()
    return numbers


def _write_arrow(host: HostProcess, batch: Batch) -> int:
    size = pa.MockOutputStream()
    _write_stream(size, batch.inputs)
    _write_stream(pa.FixedSizeBufferWriter(pa.py_buffer(host.slot(size.size()))), batch.inputs)
    return int(size.size())


def _write_stream(sink: pa.NativeFile, table: pa.Table) -> None:
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
