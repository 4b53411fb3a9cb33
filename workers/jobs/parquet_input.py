"""Parquet inputs: cut by row groups, read in batches of a few columns."""

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from shared.catalog.verdict import Layout
from shared.jobs.errors import UnreadableInput
from shared.jobs.job import FileFormat, PlannedChunk, RowGroups
from shared.jobs.order import Order
from workers.jobs.arrays import array_column, rows_at_once
from workers.jobs.batch import Batch
from workers.jobs.carrying import carried_lines, check_carried, lines_output
from workers.jobs.coercion import coerced_column
from workers.jobs.column_types import check_fed
from workers.jobs.columns import model_datatypes, use_columns
from workers.jobs.outputs import AppendedOutput, Output

# Read at a time of each column; without it a whole column chunk would be in memory at once. A megabyte
# read no faster and cost 30 MB more a thread on 30 columns.
_BUFFER_BYTES = 256 * 1024


class ParquetInput:
    """A Parquet file as the input of a job."""

    def __init__(self, file: BinaryIO, order: Order) -> None:
        self._raw, self._file = file, _opened(file)
        self._schema = self._file.schema_arrow
        self.columns = use_columns(order, self._schema.names)
        self._keep = order.output_columns
        self._fed_names = [column.name for column in order.signature.inputs]
        self._signature, self._wanted = order.signature, model_datatypes(order.signature)
        self._output = order.output_format
        self._as_text = order.output_format is not FileFormat.PARQUET
        self._check_types()

    @property
    def size_bytes(self) -> int:
        """Of the values, before compression."""
        return sum(group.total_byte_size for group in self._groups())

    def plan(self, chunk_bytes: int) -> list[PlannedChunk]:
        """Chunks of whole row groups, of about `chunk_bytes` before compression."""
        chunks: list[PlannedChunk] = []
        first = rows = size = 0
        groups = self._groups()
        for at, group in enumerate(groups):
            rows, size = rows + group.num_rows, size + group.total_byte_size
            if size >= chunk_bytes or at == len(groups) - 1:
                chunks.append(PlannedChunk(RowGroups(first, at + 1), rows))
                first, rows, size = at + 1, 0, 0
        return [chunk for chunk in chunks if chunk.rows]

    def first_row(self, chunk: RowGroups) -> int:
        """How many rows come before the chunk."""
        return sum(group.num_rows for group in self._groups()[: chunk.first])

    def batches(self, chunk: RowGroups, *, rows: int) -> Iterator[Batch]:
        """The chunk in batches of at most `rows`, none of which reaches over a row group's end.

        Raises:
            UnreadableInput: the file is damaged, or a value does not fit the model.
        """
        at = self.first_row(chunk)
        for group in range(chunk.first, chunk.last):
            for read in self._read(group, rows_at_once(self._signature, rows)):
                yield self._batch(read, first_row=at)
                at += read.num_rows

    def output(self) -> Output:
        """How the job's output is put together."""
        predictions = self.columns.predictions
        if not self._as_text:
            return AppendedOutput(self._raw, self._keep, predictions)
        names = [self._schema.names[at] for at in self.columns.carried]
        return lines_output(self._output, names, predictions)

    def _groups(self) -> list[pq.RowGroupMetaData]:
        metadata = self._file.metadata
        return [metadata.row_group(at) for at in range(metadata.num_row_groups)]

    def _read(self, group: int, rows: int) -> Iterator[pa.RecordBatch]:
        needed = {*self.columns.fed, *(self.columns.carried if self._as_text else ())}
        names = [self._schema.names[at] for at in needed]
        batches = self._file.iter_batches(rows, row_groups=[group], columns=names, use_threads=False)
        try:
            yield from batches
        except (pa.ArrowException, OSError) as error:
            raise _damaged(error) from error

    def _batch(self, read: pa.RecordBatch, *, first_row: int) -> Batch:
        fed = [read.column(self._schema.names[at]) for at in self.columns.fed]
        columns = [self._fed(number, column, first_row=first_row) for number, column in enumerate(fed)]
        names = [self._schema.names[at] for at in self.columns.carried] if self._as_text else []
        return Batch(
            inputs=pa.table(columns, names=self._fed_names),
            carried=carried_lines(read.select(names), self._output) if names else None,
        )

    def _fed(self, number: int, column: pa.Array, *, first_row: int) -> pa.Array:
        """The column that feeds an input, as the model takes it."""
        if self._signature.layout is Layout.TENSORS:
            return array_column(column, self._signature.inputs[number], first_row=first_row)
        name = self._schema.names[self.columns.fed[number]]
        return coerced_column(column, self._wanted[number], name=name, first_row=first_row)

    def _check_types(self) -> None:
        check_fed([self._schema.field(at) for at in self.columns.fed], self._signature)
        if self._as_text:
            carried = [self._schema.field(at) for at in self.columns.carried]
            check_carried(carried, Counter(self._schema.names), self._output)


def _opened(file: BinaryIO) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> Exception:
    """What is wrong with the file; trouble of the storage, which has a number, stays what it is."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return UnreadableInput(f"the Parquet file is damaged: {error}")
