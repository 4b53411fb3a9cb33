"""Arrow inputs, files and streams: cut by record batches."""

import io
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as kinds

from shared.catalog.verdict import Layout
from shared.jobs.errors import ColumnsDoNotFit, UnreadableInput
from shared.jobs.job import FileFormat, OnError, PlannedChunk, RecordBatches
from shared.jobs.order import Order
from shared.predictions.arrow_bounds import RECORD_BATCH
from workers.jobs.arrays import array_column, rows_at_once
from workers.jobs.arrow_frames import Frame, damaged, frames, messages_in
from workers.jobs.arrow_messages import CheckedMessages, check_batch, check_texts
from workers.jobs.batch import Batch
from workers.jobs.carrying import carried_lines, check_carried, lines_output
from workers.jobs.coercion import coerced_column
from workers.jobs.column_sift import picked, unfit_rows
from workers.jobs.column_types import check_fed
from workers.jobs.columns import model_datatypes, use_columns
from workers.jobs.common_columns import as_common, common_schema
from workers.jobs.outputs import Output, StackedOutput
from workers.jobs.row_sift import sifted


class ArrowInput:
    """An Arrow file or stream as the input of a job."""

    def __init__(self, file: BinaryIO, order: Order) -> None:
        self._file, self._signature, self._output = file, order.signature, order.output_format
        self._skips = order.on_error is OnError.SKIP
        self._common = common_schema(order)
        self._start, self._end = messages_in(file)
        self.size_bytes = self._end - self._start
        self._first = next(frames(file, self._start, self._end), None)
        self._schema = self._read_schema()
        names = self._schema.names
        self.columns = use_columns(order, names)
        self._wanted = model_datatypes(order.signature)
        self._needed = sorted({*self.columns.fed, *self.columns.carried})
        self._places = {position: place for place, position in enumerate(self._needed)}
        check_fed([self._schema.field(at) for at in self.columns.fed], order.signature)
        self._check_carried(Counter(names))

    def plan(self, chunk_bytes: int) -> list[PlannedChunk]:
        """Chunks of whole batches, of about `chunk_bytes`. Of every message the metadata alone is read."""
        chunks: list[PlannedChunk] = []
        start, done, rows, end = self._rows_start, 0, 0, self._rows_start
        for frame in frames(self._file, self._rows_start, self._end):
            rows, end = rows + frame.rows, frame.end
            if end - start >= chunk_bytes and rows:
                chunks.append(PlannedChunk(RecordBatches(start, end, done), rows))
                start, done, rows = end, done + rows, 0
        if rows:
            chunks.append(PlannedChunk(RecordBatches(start, end, done), rows))
        return chunks

    def first_row(self, chunk: RecordBatches) -> int:
        """How many rows come before the chunk."""
        return chunk.first_row

    def batches(self, chunk: RecordBatches, *, rows: int) -> Iterator[Batch]:
        """The chunk in batches of at most `rows`, none of which reaches over the end of one in the file.

        Raises:
            UnreadableInput: the file is damaged; or, unless rows are skipped, a value does not fit the model.
        """
        at, most = 0, rows_at_once(self._signature, rows)
        for read in self._read(chunk):
            for start in range(0, read.num_rows, most):
                part = read.slice(start, most)
                batch = self._sifted(part) if self._skips else self._checked(part, chunk.first_row + at)
                yield batch.moved(at)
                at += part.num_rows

    def carried(self) -> pa.Schema:
        """The columns that go into the output."""
        return pa.schema([self._schema.field(at).with_nullable(True) for at in self.columns.carried])

    def output(self) -> Output:
        """How the job's output is put together."""
        carried = self._common or self.carried()
        if self._output is FileFormat.PARQUET:
            return StackedOutput(carried, self.columns.predictions)
        return lines_output(self._output, carried.names, self.columns.predictions)

    @property
    def _rows_start(self) -> int:
        return self._start if self._first is None else self._first.end

    def _read_schema(self) -> pa.Schema:
        if self._first is None:
            raise damaged("it has no schema")
        try:
            schema = pa.ipc.open_stream(CheckedMessages(self._file, iter([self._first]))).schema
            _ = schema.names  # which must be text
            return schema
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _told(error) from error

    def _read(self, chunk: RecordBatches) -> Iterator[pa.RecordBatch]:
        """The needed columns of each batch, in the order of the file."""
        options = pa.ipc.IpcReadOptions(included_fields=self._needed, use_threads=False)
        source = CheckedMessages(self._file, self._messages(chunk))
        try:
            for batch in pa.ipc.open_stream(source, options=options):
                check_batch(batch)
                yield batch
        except (pa.ArrowException, OSError) as error:
            raise _told(error) from error

    def _messages(self, chunk: RecordBatches) -> Iterator[Frame]:
        """The schema, the dictionaries that came before the chunk, and the chunk's own messages."""
        if self._first is not None:
            yield self._first
        if _has_dictionary(self._schema):
            before = frames(self._file, self._rows_start, chunk.start)
            yield from (frame for frame in before if frame.kind != RECORD_BATCH)
        yield from frames(self._file, chunk.start, chunk.end)

    def _sifted(self, read: pa.RecordBatch) -> Batch:
        """The rows that fit, with what is wrong with the others."""
        try:
            return self._checked(read, 0)
        except UnreadableInput:
            return sifted(
                pa.array(np.arange(read.num_rows)),
                read=lambda rows: self._checked(picked(read, rows.to_numpy()), 0),
                finders=[lambda rows: self._unfit(picked(read, rows.to_numpy()))],
            )

    def _unfit(self, read: pa.RecordBatch) -> dict[int, UnreadableInput]:
        return unfit_rows(self._feeding(read), self._feed_alone)

    def _checked(self, read: pa.RecordBatch, first_row: int) -> Batch:
        try:
            return self._batch(read, first_row=first_row)
        except pa.ArrowException as error:  # a value that the output cannot spell
            raise UnreadableInput(f"a batch cannot be read: {error}", row=first_row) from None

    def _batch(self, read: pa.RecordBatch, *, first_row: int) -> Batch:
        check_texts(read.columns)
        feeding = enumerate(self._feeding(read))
        fed = [self._fed(number, column, first_row=first_row) for number, column in feeding]
        kept = [read.column(self._places[at]) for at in self.columns.carried]
        names = [column.name for column in self._signature.inputs]
        return Batch(
            inputs=pa.table(fed, names=names),
            carried=self._carried(kept) if kept else None,
            numbers=np.arange(read.num_rows),
        )

    def _feeding(self, read: pa.RecordBatch) -> list[pa.Array]:
        return [read.column(self._places[at]) for at in self.columns.fed]

    def _feed_alone(self, number: int, column: pa.Array) -> pa.Array:
        return self._fed(number, column, first_row=0)

    def _carried(self, columns: list[pa.Array]) -> pa.Table | pa.Array:
        carried = pa.record_batch(columns, schema=self.carried())
        if self._common is not None:
            carried = as_common(carried, self._common)
        if self._output is FileFormat.PARQUET:
            return pa.table(carried.columns, schema=self._common or self.carried())
        return carried_lines(carried, self._output)

    def _fed(self, number: int, column: pa.Array, *, first_row: int) -> pa.Array:
        """The column that feeds an input, as the model takes it."""
        if self._signature.layout is Layout.TENSORS:
            return array_column(column, self._signature.inputs[number], first_row=first_row)
        name = self.columns.names[self.columns.fed[number]]
        return coerced_column(column, self._wanted[number], name=name, first_row=first_row)

    def _check_carried(self, counts: Counter[str]) -> None:
        fields = list(self.carried())
        if self._output is not FileFormat.PARQUET:
            check_carried(fields, counts, self._output)
            return
        for field in {field.type: field for field in reversed(fields)}.values():  # wide files have few types
            _check_as_parquet(field)


def _check_as_parquet(field: pa.Field) -> None:
    """Raises: ColumnsDoNotFit: Parquet cannot hold the column."""
    try:
        if kinds.is_binary_view(field.type):
            raise pa.ArrowNotImplementedError
        pq.write_table(pa.table([pa.nulls(1, field.type)], schema=pa.schema([field])), io.BytesIO())
    except (pa.ArrowException, NotImplementedError, TypeError, OSError):  # the last of decimals out of bounds
        raise ColumnsDoNotFit(
            f"the column {field.name!r} has the type {field.type}, which a Parquet output cannot hold:"
            " leave it out of `include`",
            column=field.name,
        ) from None


def _has_dictionary(schema: pa.Schema) -> bool:
    return any("dictionary" in str(field.type) for field in schema)


def _told(error: Any) -> Exception:
    """What is wrong with the file; trouble of the storage, which has a number, stays what it is."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return damaged(str(error).partition("\n")[0][:200])
