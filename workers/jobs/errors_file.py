"""The rows that a job left out: written chunk by chunk, then joined to one file in every format."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, BinaryIO, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from shared.jobs.job import ErrorsFormat, RowError

SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("column", pa.string()),
        pa.field("code", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
    ]
)
_OF_SEVERAL = pa.schema([*SCHEMA, pa.field("file", pa.string()), pa.field("file_row", pa.int64())])
MESSAGE_MAX = 1000  # characters
_ROW_GROUP_ROWS = 16 * 1024


class Place(msgspec.Struct, frozen=True):
    """Where a chunk stands: how many rows of the input, and of its one of several files, come before it."""

    first_row: int
    file_row: int = 0
    file_name: str | None = None  # None: the input is one file


class ErrorsSink(Protocol):
    """A file of errors that grows."""

    def write(self, errors: pa.Table) -> None:
        """Add rows."""

    def close(self) -> None:
        """Write what is left; the sink stays open."""


class ErrorsPart:
    """The errors of one chunk, in a file that is opened for the first of them."""

    def __init__(self, opened: Callable[[], BinaryIO]) -> None:
        self._opened = opened
        self._file: ParquetErrors | None = None
        self._waiting: list[RowError] = []
        self.rows = 0

    def write(self, errors: Sequence[RowError]) -> None:
        """Add errors, in the order of their rows."""
        self._waiting += errors
        self.rows += len(errors)
        if len(self._waiting) >= _ROW_GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left; the sink stays open."""
        if self._waiting:
            self._flush()
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        if self._file is None:
            self._file = ParquetErrors(self._opened())
        self._file.write(pa.Table.from_pylist([_told(error) for error in self._waiting], schema=SCHEMA))
        self._waiting = []


class ParquetErrors:
    """Parquet."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema = SCHEMA) -> None:
        self._file = pq.ParquetWriter(sink, schema, compression="zstd")

    def write(self, errors: pa.Table) -> None:
        """Add a row group."""
        self._file.write_table(errors)

    def close(self) -> None:
        """Write the footer."""
        self._file.close()


class CsvErrors:
    """CSV with a header."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        self._sink = sink
        self._write([schema.names])

    def write(self, errors: pa.Table) -> None:
        """Add lines."""
        self._write(row.values() for row in errors.to_pylist())

    def close(self) -> None:
        """Every line is written already."""

    def _write(self, rows: Iterable[Iterable[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._sink.write(text.getvalue().encode())


class JsonErrors:
    """JSON, an object a line."""

    def __init__(self, sink: BinaryIO, _schema: pa.Schema) -> None:
        self._sink = sink

    def write(self, errors: pa.Table) -> None:
        """Add lines."""
        self._sink.write(msgspec.json.Encoder().encode_lines(errors.to_pylist()))

    def close(self) -> None:
        """Every line is written already."""


_SINKS: Mapping[ErrorsFormat, Callable[[BinaryIO, pa.Schema], ErrorsSink]] = {
    ErrorsFormat.PARQUET: ParquetErrors,
    ErrorsFormat.CSV: CsvErrors,
    ErrorsFormat.JSONL: JsonErrors,
}


def join_errors(
    parts: Iterable[tuple[BinaryIO, Place]], sinks: Mapping[ErrorsFormat, BinaryIO], *, several: bool = False
) -> None:
    """Write the errors of all chunks in each of the formats.

    Args:
        parts: of the chunks that have some, in the order of the input, and where each stands.
        several: the input is several files, and each error says which.
    """
    schema = _OF_SEVERAL if several else SCHEMA
    with ExitStack() as stack:
        files = [_SINKS[kind](sink, schema) for kind, sink in sinks.items()]
        for file in files:
            stack.callback(file.close)
        for part, place in parts:
            for errors in _moved(part, place):
                for file in files:
                    file.write(errors)


def _told(error: RowError) -> dict[str, Any]:
    return msgspec.structs.asdict(error) | {"message": error.message[:MESSAGE_MAX]}


def _moved(part: BinaryIO, place: Place) -> Iterator[pa.Table]:
    """The errors of a part, their rows counted from the input's first, and from the file's."""
    for batch in pq.ParquetFile(part, pre_buffer=False).iter_batches(_ROW_GROUP_ROWS, use_threads=False):
        in_chunk = batch.column("row").to_numpy()
        columns = [pa.array(in_chunk + place.first_row), *batch.columns[1:]]
        if place.file_name is None:
            yield pa.table(columns, schema=SCHEMA)
            continue
        names = pa.array([place.file_name] * batch.num_rows, pa.string())
        yield pa.table([*columns, names, pa.array(in_chunk + place.file_row)], schema=_OF_SEVERAL)
