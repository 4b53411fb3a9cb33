"""Parquet inputs: cut by row groups, read in batches of a few columns."""

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import BinaryIO

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared.catalog.verdict import Layout
from shared.jobs.errors import ColumnsDoNotFit, UnreadableInput
from shared.jobs.job import FileFormat, OnError, PlannedChunk, RowGroups
from shared.jobs.order import Order
from workers.jobs.arrays import array_column, rows_at_once
from workers.jobs.batch import Batch
from workers.jobs.carrying import carried_lines, check_carried, lines_output
from workers.jobs.coercion import coerced_column
from workers.jobs.column_sift import picked, sifted_rows
from workers.jobs.column_types import check_fed
from workers.jobs.columns import model_datatypes, use_columns
from workers.jobs.common_columns import as_common, common_schema
from workers.jobs.folder_columns import folder_columns
from workers.jobs.footer_room import row_group_bytes
from workers.jobs.outputs import AppendedOutput, Output, StackedOutput
from workers.jobs.parquet_check import check_footer, damaged
from workers.jobs.parquet_footer import FileField, GroupField, read_footer, structs
from workers.jobs.parquet_pages import check_pages, leaves_of
from workers.jobs.thrift_compact import ThriftStruct

# Read at a time of each column; without it a whole column chunk would be in memory at once. A megabyte
# read no faster and cost 30 MB more a thread on 30 columns.
_BUFFER_BYTES = 256 * 1024
_DESCRIBED_BYTES = 8 * 1024 * 1024  # of predictions in the footer; 80,000 pieces, and seconds to join them
_SHOWN = 300  # characters of what Arrow says


class ParquetInput:
    """A Parquet file as the input of a job.

    Attributes:
        fixed: columns that the names of its folders give, each with its one value.
    """

    def __init__(self, file: BinaryIO, order: Order) -> None:
        self._raw, self._file = file, _opened(file)
        self._own = self._file.schema_arrow.names
        self.fixed = folder_columns(order, self._own)
        self._schema = _with_fields(self._file.schema_arrow, self.fixed)
        self.columns = use_columns(order, self._schema.names)
        self._keep = order.output_columns
        self._fed_names = [column.name for column in order.signature.inputs]
        self._signature, self._wanted = order.signature, model_datatypes(order.signature)
        self._output = order.output_format
        self._as_text = order.output_format is not FileFormat.PARQUET
        self._skips = order.on_error is OnError.SKIP
        self._common, self._is_alone = common_schema(order), order.file_name is None
        # Otherwise the join takes them from the file itself, and makes row groups as small as its own.
        self._carries = self._as_text or self._skips or not self._is_alone or self._is_crowded()
        self._check_types()
        needed = {*self.columns.fed, *(self.columns.carried if self._carries else ())}
        own = [self._own[at] for at in needed if at < len(self._own)]
        self._needed_names = own or self._own[:1]  # which says how many rows there are
        self._leaves = leaves_of(self._file.schema, self._needed_names)

    @property
    def size_bytes(self) -> int:
        """Of the values, before compression."""
        return sum(group.total_byte_size for group in self._groups())

    def plan(self, chunk_bytes: int) -> list[PlannedChunk]:
        """Chunks of whole row groups, of about `chunk_bytes` before compression.

        Raises:
            UnreadableInput: the footer contradicts itself, or leads out of the file.
        """
        check_footer(self._raw)
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
            UnreadableInput: the file is damaged; or, unless rows are skipped, a value does not fit the model.
        """
        before, at = self.first_row(chunk), 0
        for group in range(chunk.first, chunk.last):
            for read in self._read(group, rows_at_once(self._signature, rows)):
                yield self._sifted(read, at) if self._skips else self._batch(read, before, at=at)
                at += read.num_rows

    def carried(self) -> pa.Schema:
        """The columns that go into the output."""
        return pa.schema([self._schema.field(at) for at in self.columns.carried])

    def output(self) -> Output:
        """How the job's output is put together."""
        predictions = self.columns.predictions
        if not self._as_text:
            if self._carries:
                return StackedOutput(self._common or self.carried(), predictions)
            return AppendedOutput(self._raw, self._keep, predictions)
        names = [self.columns.names[at] for at in self.columns.carried]
        return lines_output(self._output, names, predictions)

    def _is_crowded(self) -> bool:
        """Whether its row groups are too many for so many predictions to stand beside each."""
        described = row_group_bytes(self.columns.predictions)
        return bool(self._file.metadata.num_row_groups * described > _DESCRIBED_BYTES)

    def _groups(self) -> list[pq.RowGroupMetaData]:
        metadata = self._file.metadata
        return [metadata.row_group(at) for at in range(metadata.num_row_groups)]

    @cached_property
    def _described(self) -> list[ThriftStruct]:
        """The row groups. The plan has checked them."""
        return structs(read_footer(self._raw), FileField.ROW_GROUPS)

    def _read(self, group: int, rows: int) -> Iterator[pa.RecordBatch]:
        names = self._needed_names
        left = self._file.metadata.row_group(group).num_rows
        try:
            check_pages(self._raw, structs(self._described[group], GroupField.COLUMNS), self._leaves)
            for batch in self._file.iter_batches(rows, row_groups=[group], columns=names, use_threads=False):
                left -= batch.num_rows
                batch.validate(full=True)  # texts above all: nothing else looks whether they are UTF-8
                yield self._widened(batch)
        except (pa.ArrowException, OSError) as error:
            raise _told(error) from error
        if left and names:
            raise damaged(f"row group {group} has not the rows that it claims")

    def _widened(self, read: pa.RecordBatch) -> pa.RecordBatch:
        for name, value in self.fixed.items():
            read = read.append_column(name, pa.repeat(value, read.num_rows))
        return read

    def _sifted(self, read: pa.RecordBatch, at: int) -> Batch:
        """The rows that fit, with what is wrong with the others."""
        try:
            return self._batch(read, 0, at=at)
        except UnreadableInput:
            fits, refused = sifted_rows(read, self._feeding(read), feed=self._feed_alone, first=at)
        rows = np.flatnonzero(fits.to_numpy(zero_copy_only=False))
        batch = self._batch(picked(read, rows), 0, at=at)
        return msgspec.structs.replace(batch, numbers=at + rows, refused=refused)

    def _batch(self, read: pa.RecordBatch, before: int, *, at: int) -> Batch:
        """Args: before: rows of the file before the chunk; at: number of the first row in it."""
        fed = enumerate(self._feeding(read))
        columns = [self._fed(number, column, first_row=before + at) for number, column in fed]
        return Batch(
            inputs=pa.table(columns, names=self._fed_names),
            carried=self._carried(read),
            numbers=np.arange(at, at + read.num_rows),
        )

    def _feeding(self, read: pa.RecordBatch) -> list[pa.Array]:
        return [read.column(self.columns.names[at]) for at in self.columns.fed]

    def _feed_alone(self, number: int, column: pa.Array) -> pa.Array:
        return self._fed(number, column, first_row=0)

    def _carried(self, read: pa.RecordBatch) -> pa.Table | pa.Array | None:
        if not self._carries or not self.columns.carried:
            return None
        carried = read.select([self.columns.names[at] for at in self.columns.carried])
        if self._common is not None:
            carried = as_common(carried, self._common)
        if self._as_text:
            return carried_lines(carried, self._output)
        return pa.table(carried.columns, schema=self._common or self.carried())

    def _fed(self, number: int, column: pa.Array, *, first_row: int) -> pa.Array:
        """The column that feeds an input, as the model takes it."""
        if self._signature.layout is Layout.TENSORS:
            return array_column(column, self._signature.inputs[number], first_row=first_row)
        name = self.columns.names[self.columns.fed[number]]
        return coerced_column(column, self._wanted[number], name=name, first_row=first_row)

    def _check_types(self) -> None:
        check_fed([self._schema.field(at) for at in self.columns.fed], self._signature)
        carried = [self._schema.field(at) for at in self.columns.carried] if self._carries else []
        counts = Counter(self._schema.names)
        if self._as_text:
            check_carried(carried, counts, self._output)
        else:
            _check_unique(carried, counts)


def _with_fields(schema: pa.Schema, fixed: dict[str, pa.Scalar]) -> pa.Schema:
    for name, value in fixed.items():
        schema = schema.append(pa.field(name, value.type))
    return schema


def _check_unique(fields: list[pa.Field], counts: Counter[str]) -> None:
    for field in fields:
        if counts[field.name] > 1:
            raise ColumnsDoNotFit(f"the file has more than one column {field.name!r}", column=field.name)


def _opened(file: BinaryIO) -> pq.ParquetFile:
    try:
        opened = pq.ParquetFile(
            file, pre_buffer=False, buffer_size=_BUFFER_BYTES, page_checksum_verification=True
        )
        _ = opened.schema_arrow.names  # which must be text
        return opened
    except UnicodeDecodeError:
        raise damaged("the name of a column is not text in UTF-8") from None
    except (pa.ArrowException, OSError) as error:
        raise _told(error) from error


def _told(error: Exception) -> Exception:
    """What is wrong with the file; trouble of the storage, which has a number, stays what it is."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return damaged(str(error).partition("\n")[0][:_SHOWN])
