"""CSV inputs: cut by byte ranges at the ends of records, read in blocks."""

import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from shared.catalog.verdict import Layout
from shared.jobs.errors import UnreadableInput
from shared.jobs.job import ByteRange, FileFormat, OnError, PlannedChunk
from shared.jobs.order import Order
from shared.predictions.arrow_values import ARROW_TYPES, coerced, parsed
from workers.jobs.arrays import refuse_arrays_in_csv, refuse_gaps
from workers.jobs.batch import Batch, sliced
from workers.jobs.columns import model_datatypes, use_columns
from workers.jobs.csv_cut import cut_records, whole_records
from workers.jobs.csv_dialect import read_dialect
from workers.jobs.csv_fault import broken_records, unfit_value, unfit_values
from workers.jobs.csv_text import csv_lines, header_line, split_records
from workers.jobs.json_objects import object_heads, refuse_doubled
from workers.jobs.outputs import JsonLinesOutput, LinesOutput, Output, StackedOutput
from workers.jobs.row_sift import sifted

_BLOCK_BYTES = 4 * 1024 * 1024


class CsvInput:
    """A CSV file as the input of a job.

    Missing values are what pandas takes for missing: empty fields, NA, NaN, null and the like.
    """

    def __init__(self, file: BinaryIO, order: Order) -> None:
        refuse_arrays_in_csv(order.signature)
        self._file, self._signature = file, order.signature
        self.size_bytes = file.seek(0, io.SEEK_END)
        self.dialect = read_dialect(file)
        self.columns = use_columns(order, self.dialect.names)
        self._fed_names = [column.name for column in order.signature.inputs]
        self._wanted = dict(zip(map(str, self.columns.fed), model_datatypes(order.signature), strict=True))
        self._types = {at: ARROW_TYPES[wanted] for at, wanted in self._wanted.items()}
        self._wide = {at: pa.float64() for at, type_ in self._types.items() if type_ == pa.float32()}
        self._output, self._skips = order.output_format, order.on_error is OnError.SKIP
        if self._output is FileFormat.JSONL:
            refuse_doubled([self.dialect.names[at] for at in self.columns.carried])

    def plan(self, chunk_bytes: int) -> list[PlannedChunk]:
        """Chunks of whole records, of about `chunk_bytes`. How many rows they have is not known yet."""
        ranges = cut_records(
            self._file, start=self.dialect.start, end=self.size_bytes, chunk_bytes=chunk_bytes
        )
        return [PlannedChunk(source, None) for source in ranges]

    def first_row(self, chunk: ByteRange) -> int:
        """How many rows come before the chunk. Reads all of them: for errors only."""
        before = ByteRange(self.dialect.start, chunk.start)
        blocks = whole_records(self._file, before, block_bytes=_BLOCK_BYTES)
        return sum(len(split_records(block)) for block in blocks)

    def batches(self, chunk: ByteRange, *, rows: int) -> Iterator[Batch]:
        """The chunk in batches of at most `rows`.

        Raises:
            UnreadableInput: unless rows are skipped, a record is broken, or a value does not fit the model.
        """
        done = 0
        for block in whole_records(self._file, chunk, block_bytes=_BLOCK_BYTES):
            records = split_records(block)
            if not len(records):
                continue
            batch = self._read(block, records, chunk, done)
            yield from sliced(batch.moved(done), rows)
            done += len(records)

    def _read(self, block: bytes, records: pa.Array, chunk: ByteRange, done: int) -> Batch:
        if self._skips:
            return self._sifted(block, records)
        try:
            batch = self._batch(block, records)
        except pa.ArrowInvalid as error:
            raise self._fault(block, records, self.first_row(chunk) + done, why=str(error)) from None
        if self._signature.layout is Layout.TENSORS:
            self._refuse_gaps(batch, chunk, done)
        return batch

    def _sifted(self, block: bytes, records: pa.Array) -> Batch:
        """The records that fit, with what is wrong with the others."""
        try:
            return self._checked(block, records)
        except (pa.ArrowInvalid, UnreadableInput):
            return sifted(records, read=self._reread, finders=[self._broken, self._unfit])

    def _reread(self, records: pa.Array) -> Batch:
        if not len(records):
            nothing = pa.schema([(name, pa.null()) for name in self._fed_names]).empty_table()
            return Batch(inputs=nothing, carried=None, numbers=np.arange(0))
        return self._checked(_block_of(records), records)

    def _checked(self, block: bytes, records: pa.Array) -> Batch:
        batch = self._batch(block, records)
        if self._signature.layout is Layout.TENSORS:
            for column in self._signature.inputs:
                refuse_gaps(batch.inputs[column.name], column, first_row=0)
        return batch

    def _broken(self, records: pa.Array) -> dict[int, UnreadableInput]:
        broken = broken_records(records, self.dialect, first_row=0)
        return {fault.row: fault for fault in broken if fault.row is not None}

    def _unfit(self, records: pa.Array) -> dict[int, UnreadableInput]:
        try:
            texts = self._parsed(_block_of(records), dict.fromkeys(self._types, pa.string()))
        except pa.ArrowInvalid:
            return {}
        fits_together = texts.num_rows == len(records)
        return unfit_values(texts, self._wanted, self.dialect) if fits_together else {}

    def carried(self) -> pa.Schema:
        """The columns that go into the output; in Parquet what the model does not take stays text."""
        carried = self.columns.carried
        return pa.schema([(self.columns.names[at], self._types.get(str(at), pa.string())) for at in carried])

    def output(self) -> Output:
        """How the job's output is put together."""
        predictions = self.columns.predictions
        if self._output is FileFormat.PARQUET:
            return StackedOutput(self.carried(), predictions)
        if self._output is FileFormat.JSONL:
            return JsonLinesOutput(predictions)
        return LinesOutput(self._carried_header(), predictions, self.dialect.delimiter)

    def _batch(self, block: bytes, records: pa.Array) -> Batch:
        table = self._typed(block)
        if table.num_rows != len(records):
            raise pa.ArrowInvalid("its quotes and line ends do not fit together")
        inputs = [table[str(at)] for at in self.columns.fed]
        return Batch(
            inputs=pa.table(inputs, names=self._fed_names),
            carried=self._carried(block, table, records),
            numbers=np.arange(len(records)),
        )

    def _typed(self, block: bytes) -> pa.Table:
        """The model's columns in its types. What Arrow's reader refuses may be spelled in another way."""
        try:
            read = self._parsed(block, self._types | self._wide)
            return self._narrowed(read) if self._wide else read
        except pa.ArrowInvalid:
            texts = self._parsed(block, dict.fromkeys(self._types, pa.string()))
            columns = [parsed(texts[at].combine_chunks(), wanted) for at, wanted in self._wanted.items()]
            return pa.table(columns, names=list(self._wanted))

    def _narrowed(self, read: pa.Table) -> pa.Table:
        """32-bit floats are the nearest to the 64-bit ones, as in every format; and not too large."""
        columns = [coerced(read[at].combine_chunks(), wanted) for at, wanted in self._wanted.items()]
        return pa.table(columns, names=list(self._wanted))

    def _refuse_gaps(self, batch: Batch, chunk: ByteRange, done: int) -> None:
        try:
            for column in self._signature.inputs:
                refuse_gaps(batch.inputs[column.name], column, first_row=0)
        except UnreadableInput as gap:
            row = self.first_row(chunk) + done + (gap.row or 0)
            raise UnreadableInput(str(gap), row=row, column=gap.column) from None

    def _fault(self, block: bytes, records: pa.Array, first_row: int, *, why: str) -> UnreadableInput:
        fault = next(broken_records(records, self.dialect, first_row=first_row), None)
        if fault is None:
            texts = self._parsed(block, dict.fromkeys(self._types, pa.string()))
            fault = unfit_value(texts, self._wanted, self.dialect, first_row=first_row)
        return fault or UnreadableInput(f"the CSV file cannot be read: {why}", row=first_row)

    def _carried(self, block: bytes, table: pa.Table, records: pa.Array) -> pa.Table | pa.Array | None:
        if self._output is FileFormat.CSV and self.columns.carries_all:
            return records  # to the byte, whatever the columns are
        if not self.columns.carried:
            return None
        if self._output is FileFormat.CSV:
            texts = self._texts(block, self.columns.carried)
            columns = [column.combine_chunks() for column in texts.columns]
            return csv_lines(columns, self.dialect.delimiter)
        others = [at for at in self.columns.carried if str(at) not in self._types]
        texts = self._texts(block, others)
        columns = [(texts if at in others else table)[str(at)] for at in self.columns.carried]
        carried = pa.table(columns, schema=self.carried())
        return object_heads(carried) if self._output is FileFormat.JSONL else carried

    def _carried_header(self) -> bytes | None:
        if self.columns.carries_all:
            return self.dialect.header
        names = [self.columns.names[at] for at in self.columns.carried]
        return header_line(names, self.dialect.delimiter) if names else None

    def _texts(self, block: bytes, positions: Sequence[int]) -> pa.Table:
        """Columns as they are written, where nothing counts as missing."""
        types = {str(at): pa.string() for at in positions}
        return self._parsed(block, types, missing=False) if types else pa.table({})

    def _parsed(self, block: bytes, types: dict[str, pa.DataType], *, missing: bool = True) -> pa.Table:
        """Columns, by their positions as text, in the types wanted.

        Args:
            missing: whether the usual spellings of missing values are nulls in columns of text too.
        """
        return pacsv.read_csv(
            pa.BufferReader(block),
            read_options=pacsv.ReadOptions(
                use_threads=False,
                block_size=len(block) + 1,
                column_names=[str(at) for at in range(len(self.dialect.names))],
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=self.dialect.delimiter, newlines_in_values=b'"' in block
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                strings_can_be_null=missing,
                quoted_strings_can_be_null=False,
            ),
        )


def _block_of(records: pa.Array) -> bytes:
    return b"\n".join(records.to_pylist()) + b"\n"
