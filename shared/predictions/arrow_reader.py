"""From an Arrow IPC stream, as a client sends it, to the bytes that a model host reads.

The stream is hostile until shown otherwise. pyarrow's reader is fuzzed by its makers, and promises not to
crash if what it read is validated in full before it is used; nothing here looks into a batch before that.
What it cannot know is how much is too much: the sizes that a stream claims are added up before anything is
unpacked, and what a batch would become as rows before it is turned into them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds
from numpy.typing import NDArray
from pyarrow import ipc

from shared.catalog.verdict import Column, Datatype, Signature
from shared.errors import FieldError, MalformedRequest, TooLarge
from shared.predictions.array_columns import pack_arrays
from shared.predictions.arrow_arrays import ArrayUnfit, array_fault, flattened
from shared.predictions.arrow_bounds import BadMetadata, unpacked_bytes
from shared.predictions.arrow_values import (
    can_fit,
    coerced,
    is_moment,
    is_number,
    is_text,
    listed,
    values_type,
)
from shared.predictions.columns import ColumnReader, Values
from shared.predictions.predict_body import PredictBody
from shared.predictions.rows import InputMismatch, ReadRows
from shared.predictions.tensors import elements
from shared.predictions.values import FLOATS

MIB: Final = 1024 * 1024
# What a body may unpack to. Eight times its own size is beyond what honest rows compress to and take as
# Python values; a small body may be packed better than that.
UNPACKED_RATIO: Final = 8
UNPACKED_LEAST_BYTES: Final = 128 * MIB

_NUMBER_BYTES: Final = 8  # in a matrix
_VALUE_BYTES: Final = 32  # of a number as a Python value, in a table
_TEXT_BYTES: Final = 64  # of a text as a Python value, beside its letters
_MOMENT_BYTES: Final = 32  # letters of a date or time as text
_VIEW_BYTES: Final = 16  # of a string view; its length stands first


class MalformedArrow(MalformedRequest):
    """The body is not an Arrow IPC stream. The text says why."""

    code = "malformed_arrow"


class ArrowReader:
    """Reads Arrow IPC streams for one signature. Threads may share it."""

    def __init__(self, signature: Signature, *, refuse_extra: bool = False) -> None:
        """Args: refuse_extra: columns that the model does not know are refused, not ignored."""
        self._columns = ColumnReader(signature, refuse_extra=refuse_extra)
        self._main = (signature.main.name,)

    def read(
        self,
        body: bytes,
        *,
        version: int | None = None,
        outputs: tuple[str, ...] | None = None,
        key: str | None = None,
    ) -> PredictBody:
        """All rows of all batches.

        Raises:
            MalformedArrow: it is no such stream.
            InputMismatch: its columns or values do not fit; the error names them.
            TooLarge: it would take too much memory.
        """
        budget = _Budget(max(UNPACKED_LEAST_BYTES, UNPACKED_RATIO * len(body)))
        try:
            rows = self._rows(pa.py_buffer(body), budget)
        except MemoryError:
            raise TooLarge("the Arrow stream would take too much memory") from None
        except (pa.ArrowException, OSError, BadMetadata, UnicodeDecodeError) as error:
            raise MalformedArrow(f"the body is not an Arrow IPC stream: {_first_line(error)}") from error
        return PredictBody(rows, False, version, self._main if outputs is None else outputs, key)

    def _rows(self, stream: pa.Buffer, budget: "_Budget") -> ReadRows:
        budget.spend(unpacked_bytes(stream))
        schema = _open(stream).schema
        matched = self._columns.match(schema.names)
        for at, position in enumerate(matched.positions):
            self._refuse_kind(at, schema.field(position).type)
        wanted = sorted(matched.positions)  # the reader keeps the stream's order
        places = {position: place for place, position in enumerate(wanted)}
        order = [places[position] for position in matched.positions]
        parts: list[list[Values]] = []
        rows = 0
        for batch in _batches(_open(stream, wanted)):
            parts.append(self._part(batch, order, budget, first_row=rows))
            rows += batch.num_rows
        columns = [_joined(chunks) for chunks in zip(*parts, strict=True)]
        if not columns:
            raise InputMismatch("there are no rows: send at least one")
        if self._columns.is_tensors:
            return ReadRows(pack_arrays(self._columns.columns, columns, rows), rows, matched.warnings)
        return ReadRows(self._columns.pack(columns), rows, matched.warnings)

    def _refuse_kind(self, at: int, given: pa.DataType) -> None:
        """Refuse a column of a type none of whose values can fit. Numbers are looked at one by one."""
        if self._columns.is_tensors:
            fault = array_fault(given, self._columns.columns[at])
            if fault is not None:
                raise self._columns.wrong_column(at, fault)
            return
        wanted = self._columns.datatypes[at]
        values = values_type(given)
        by_value = is_number(values) and wanted in {Datatype.BYTES, Datatype.BOOL}
        if not by_value and not can_fit(given, wanted):
            raise self._columns.wrong_kind(at, str(given)[:100])

    def _part(
        self, batch: pa.RecordBatch, order: Sequence[int], budget: "_Budget", *, first_row: int
    ) -> list[Values]:
        """The model's columns of one batch, in the model's order."""
        self._bound(batch, budget)
        batch.validate(full=True)
        columns = [batch.column(at) for at in order]
        if self._columns.is_tensors:
            columns = [
                _flat(column, wanted, first_row=first_row)
                for column, wanted in zip(columns, self._columns.columns, strict=True)
            ]
        decoded = [_decoded(column, budget) for column in columns]
        return [
            _values(column, wanted) for column, wanted in zip(decoded, self._columns.datatypes, strict=True)
        ]

    def _bound(self, batch: pa.RecordBatch, budget: "_Budget") -> None:
        """Before anything looks at the values: validation of buffers that overlap could take for ever."""
        value_bytes = _NUMBER_BYTES if self._columns.is_matrix else _VALUE_BYTES
        values = sum(map(elements, self._columns.columns))
        budget.spend(batch.num_rows * values * (_NUMBER_BYTES if self._columns.is_tensors else value_bytes))
        batch.validate()
        budget.spend(batch.nbytes)


class _Budget:
    """Counts the bytes that one body takes."""

    def __init__(self, most_bytes: int) -> None:
        self._left, self._most = most_bytes, most_bytes

    def spend(self, size_bytes: int) -> None:
        """Count so many more.

        Raises:
            TooLarge: they are too many.
        """
        self._left -= size_bytes
        if self._left < 0:
            raise TooLarge(
                f"the Arrow stream unpacks to more than the {self._most} bytes that are allowed for its size"
            )


def _open(stream: pa.Buffer, fields: list[int] | None = None) -> Any:
    return ipc.open_stream(stream, options=ipc.IpcReadOptions(included_fields=fields, use_threads=False))


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    return (batch for batch in reader if batch.num_rows)


def _flat(column: pa.Array, wanted: Column, *, first_row: int) -> pa.Array:
    """The values of all rows' arrays."""
    try:
        return flattened(column, wanted)
    except ArrayUnfit as error:
        fault = FieldError(message=str(error), column=wanted.name, row=first_row + error.row)
        raise InputMismatch("an array does not fit", [fault]) from None


def _decoded(column: pa.Array, budget: _Budget) -> pa.Array:
    """The column without its dictionary, within the budget: a long text may be referred to by every row."""
    if not kinds.is_dictionary(column.type):
        if is_text(column.type):
            budget.spend(_TEXT_BYTES * len(column) + _text_bytes(column))
        if is_moment(column.type):
            budget.spend((_TEXT_BYTES + _MOMENT_BYTES) * len(column))
        return column
    if is_text(column.type.value_type):
        lengths = pa.array(text_lengths(column.dictionary))
        taken = pc.sum(lengths.take(column.indices)).as_py() or 0
        budget.spend(_TEXT_BYTES * len(column) + taken)
    return column.dictionary_decode()


def _text_bytes(column: pa.Array) -> int:
    return int(text_lengths(column).sum())


def text_lengths(texts: pa.Array) -> NDArray[np.int64]:
    """Bytes of each text."""
    if kinds.is_string_view(texts.type):
        ints = (texts.offset + len(texts)) * _VIEW_BYTES // 4
        views = np.frombuffer(texts.buffers()[1] or b"", "<i4", ints).reshape(-1, _VIEW_BYTES // 4)
        lengths = views[texts.offset :, 0].astype(np.int64)
        return np.where(texts.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    known = pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False)
    return np.asarray(known, np.int64)


def _values(column: pa.Array, wanted: Datatype) -> Values:
    """As numpy holds them, or as Python does where some are missing, are text, or do not fit."""
    try:
        column = coerced(column, wanted)
    except pa.ArrowInvalid:
        return listed(column, wanted)
    if wanted in FLOATS or (not column.null_count and wanted is not Datatype.BYTES):
        numbers: Values = column.to_numpy(zero_copy_only=False)
        return numbers
    given: list[Any] = column.to_pylist()
    return given


def _joined(chunks: Sequence[Values]) -> Values:
    if len(chunks) == 1:
        return chunks[0]
    if all(isinstance(chunk, np.ndarray) for chunk in chunks):
        return np.concatenate(chunks)
    return [value for chunk in chunks for value in (chunk if isinstance(chunk, list) else chunk.tolist())]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
