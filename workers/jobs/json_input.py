"""Inputs of JSON Lines: cut by byte ranges at the ends of lines, read in blocks."""

import io
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import msgspec
import numpy as np
import pyarrow as pa

from shared.catalog.verdict import Column, Layout
from shared.jobs.errors import UnreadableInput
from shared.jobs.job import ByteRange, FileFormat, OnError, PlannedChunk
from shared.jobs.order import Order
from shared.predictions.arrow_values import ARROW_TYPES
from shared.predictions.values import travels_as
from workers.jobs.arrays import rows_at_once
from workers.jobs.batch import Batch
from workers.jobs.carrying import lines_output
from workers.jobs.columns import use_columns
from workers.jobs.common_columns import common_schema
from workers.jobs.csv_text import COMMA, csv_lines
from workers.jobs.json_rows import JsonRows, decoded_object
from workers.jobs.line_cut import cut_lines, split_lines, whole_lines
from workers.jobs.outputs import Output, StackedOutput
from workers.jobs.row_sift import sifted

_BLOCK_BYTES = 4 * 1024 * 1024
_HEAD_BYTES = 64 * 1024

Raws = Sequence[dict[str, msgspec.Raw]]

_decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


class JsonLinesInput:
    """A file of JSON Lines as the input of a job. Its columns are those of its first rows."""

    def __init__(self, file: BinaryIO, order: Order) -> None:
        self._file, self._signature = file, order.signature
        self._skips = order.on_error is OnError.SKIP
        self.size_bytes = file.seek(0, io.SEEK_END)
        file.seek(0)
        self._start = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
        common = common_schema(order)
        # Columns may come and go, from file to file as from row to row.
        names = list(dict.fromkeys([*self._first_names(), *(common.names if common is not None else ())]))
        self.columns = use_columns(order, names)
        self._carried_names = [names[at] for at in self.columns.carried]
        self._fed = [names[at] for at in self.columns.fed]
        others = list(order.output_columns or ()) if order.refuse_extra else None
        self._rows = JsonRows(order.signature, self._fed, others=others)
        self._output = order.output_format
        # Rows further down may have columns of our names, which the first did not.
        self._whole_lines = self.columns.carries_all or order.output_columns is None
        self._ours = [_encode(name) for name in self.columns.predictions.names]

    def plan(self, chunk_bytes: int) -> list[PlannedChunk]:
        """Chunks of whole lines, of about `chunk_bytes`. How many rows they have is not known yet."""
        ranges = cut_lines(self._file, start=self._start, end=self.size_bytes, chunk_bytes=chunk_bytes)
        return [PlannedChunk(source, None) for source in ranges]

    def first_row(self, chunk: ByteRange) -> int:
        """How many rows come before the chunk. Reads all of them: for errors only."""
        before = ByteRange(self._start, chunk.start)
        return sum(map(len, map(split_lines, whole_lines(self._file, before, block_bytes=_BLOCK_BYTES))))

    def batches(self, chunk: ByteRange, *, rows: int) -> Iterator[Batch]:
        """The chunk in batches of at most `rows`.

        Raises:
            UnreadableInput: unless rows are skipped, a line is broken, or a value does not fit the model.
        """
        done, most = 0, rows_at_once(self._signature, rows)
        for block in whole_lines(self._file, chunk, block_bytes=_BLOCK_BYTES):
            lines = split_lines(block)
            for start in range(0, len(lines), most):
                some, before = lines[start : start + most], done + start
                batch = self._sifted(some) if self._skips else self._located(some, chunk, before)
                yield batch.moved(before)
            done += len(lines)

    def carried(self) -> pa.Schema:
        """The columns that go into the output; in Parquet what the model does not take stays text."""
        inputs = dict(zip(self._fed, self._signature.inputs, strict=True))
        return pa.schema(
            [
                (name, self._type(inputs[name]) if name in inputs else pa.string())
                for name in self._carried_names
            ]
        )

    def output(self) -> Output:
        """How the job's output is put together."""
        if self._output is FileFormat.PARQUET:
            return StackedOutput(self.carried(), self.columns.predictions)
        return lines_output(self._output, self._carried_names, self.columns.predictions)

    def _first_names(self) -> list[str]:
        """The columns of the rows that the first few bytes hold, in the order they come in."""
        whole = ByteRange(self._start, self.size_bytes)
        for block in whole_lines(self._file, whole, block_bytes=_HEAD_BYTES):
            lines = split_lines(block)
            rows = self._objects(lines)
            if rows:
                return list(dict.fromkeys(name for row in rows for name in row))
        raise UnreadableInput("the file has no rows: JSON Lines has an object a line")

    def _objects(self, lines: list[bytes]) -> list[dict[str, Any]]:
        if not self._skips:
            return [decoded_object(line, number) for number, line in enumerate(lines)]
        return [row for line in lines if (row := _object_or_none(line)) is not None]

    def _sifted(self, lines: list[bytes]) -> Batch:
        """The lines that fit, with what is wrong with the others."""
        try:
            return self._batch(lines)
        except UnreadableInput:
            return sifted(
                pa.array(lines, pa.binary()),
                read=lambda records: self._reread(records.to_pylist()),
                finders=[lambda records: self._rows.unfit(records.to_pylist())],
            )

    def _reread(self, lines: list[bytes]) -> Batch:
        if lines:
            return self._batch(lines)
        nothing = pa.schema([(column.name, pa.null()) for column in self._signature.inputs]).empty_table()
        return Batch(inputs=nothing, carried=None, numbers=np.arange(0))

    def _located(self, lines: list[bytes], chunk: ByteRange, done: int) -> Batch:
        try:
            return self._batch(lines)
        except UnreadableInput as fault:
            row = self.first_row(chunk) + done + (fault.row or 0)
            raise UnreadableInput(str(fault), row=row, column=fault.column) from None

    def _batch(self, lines: list[bytes]) -> Batch:
        _check_text(lines)
        inputs = self._rows.table(lines)
        return Batch(
            inputs=inputs,
            carried=self._carried(lines, inputs) if self._carried_names else None,
            numbers=np.arange(len(lines)),
        )

    def _carried(self, lines: list[bytes], inputs: pa.Table) -> pa.Table | pa.Array:
        if self._output is FileFormat.JSONL and self._whole_lines:
            return self._heads(lines)
        raws = _raw_objects(lines)
        if self._output is FileFormat.JSONL:
            kept = [{name: raw[name] for name in self._carried_names if name in raw} for raw in raws]
            return pa.array([_encode(row)[:-1] for row in kept], pa.binary())
        if self._output is FileFormat.CSV:
            return csv_lines([_texts(raws, name) for name in self._carried_names], COMMA)
        return pa.table([self._column(raws, name, inputs) for name in self._carried_names], self.carried())

    def _heads(self, lines: list[bytes]) -> pa.Array:
        """The very lines of the input, without the brace that closes each."""
        for number, line in enumerate(lines):
            if any(name in line for name in self._ours):
                self._refuse_ours(line, number)
        return pa.array([line.strip()[:-1] for line in lines], pa.binary())

    def _refuse_ours(self, line: bytes, number: int) -> None:
        for name in self.columns.predictions.names:
            if name in decoded_object(line, number):
                raise UnreadableInput(
                    "the first rows lack this column, whose name the prediction has: name in `include` what"
                    " is to be carried into the output",
                    row=number,
                    column=name,
                )

    def _column(self, raws: Raws, name: str, inputs: pa.Table) -> pa.Array:
        """A carried column in a Parquet output: what the model does not take stays text."""
        if name not in self._fed:
            return _texts(raws, name)
        at = self._fed.index(name)
        return _nested(inputs.column(at).combine_chunks(), self._signature.inputs[at])

    def _type(self, column: Column) -> pa.DataType:
        kind = ARROW_TYPES[travels_as(column, self._signature.layout)]
        if self._signature.layout is Layout.TENSORS:
            for size in reversed(column.shape):
                kind = pa.list_(kind, size)
        return kind


def _object_or_none(line: bytes) -> dict[str, Any] | None:
    try:
        return decoded_object(line, 0)
    except UnreadableInput:
        return None


def _check_text(lines: list[bytes]) -> None:
    """Columns that the model does not take are carried as they are: they must be text too."""
    try:
        b"\n".join(lines).decode()
    except UnicodeDecodeError:
        for number, line in enumerate(lines):
            decoded_object(line, number)


def _raw_objects(lines: list[bytes]) -> Raws:
    try:
        return [_decode_raw(line) for line in lines]
    except (ValueError, RecursionError):
        for number, line in enumerate(lines):
            decoded_object(line, number)
        raise


def _texts(raws: Raws, name: str) -> pa.Array:
    """A column as text: texts as they are, null for what is missing, everything else as JSON spells it."""
    return pa.array([_text(raw[name]) if name in raw else None for raw in raws], pa.string())


def _text(raw: msgspec.Raw) -> str | None:
    spelled = bytes(raw)
    if spelled == b"null":
        return None
    return _decode_text(spelled) if spelled.startswith(b'"') else spelled.decode()


def _nested(values: pa.Array, column: Column) -> pa.Array:
    """Arrays as lists in lists."""
    if not column.shape or not pa.types.is_fixed_size_list(values.type):
        return values
    values = values.flatten()
    for size in reversed(column.shape):
        values = pa.FixedSizeListArray.from_arrays(values, size)
    return values
