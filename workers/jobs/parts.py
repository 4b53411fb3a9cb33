"""Writes the output of one chunk. Parts are made to be joined: see `outputs.py`."""

from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as kinds

from workers.jobs.batch import Batch
from workers.jobs.csv_text import csv_lines
from workers.jobs.footer_room import FooterRoom
from workers.jobs.json_objects import object_lines

_ROW_GROUP_ROWS = 128 * 1024
_ROW_GROUP_BYTES = 32 * 1024 * 1024  # in memory, until they are written


class Part(Protocol):
    """An output that grows by batches."""

    def write(self, batch: Batch, predictions: list[pa.Array]) -> None:
        """Add rows: what of the batch is carried, and the columns of its predictions."""

    def close(self) -> None:
        """Write what is left; the sink stays open."""


class CsvPart:
    """Lines without a header."""

    def __init__(self, sink: BinaryIO, delimiter: str) -> None:
        self._sink, self._delimiter = sink, delimiter

    def write(self, batch: Batch, predictions: list[pa.Array]) -> None:
        """Add lines."""
        lines = _joined(csv_lines(predictions, self._delimiter), pa.scalar(b"\n"), b"")
        if batch.carried is not None:
            lines = _joined(batch.carried, lines, self._delimiter.encode())
        self._sink.write(_bytes_of(lines))

    def close(self) -> None:
        """Every line is written already."""


class JsonLinesPart:
    """An object a line."""

    def __init__(self, sink: BinaryIO, names: list[str]) -> None:
        self._sink, self._names = sink, names

    def write(self, batch: Batch, predictions: list[pa.Array]) -> None:
        """Add lines: what of the batch is carried are the beginnings of their objects."""
        rows = pa.table(predictions, names=self._names)
        self._sink.write(object_lines(batch.carried, rows))

    def close(self) -> None:
        """Every line is written already."""


class PredictionsPart:
    """Parquet with nothing but predictions, to be put beside the input's own columns.

    Each batch is a row group without a dictionary: the join makes one column chunk of several.
    """

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        self._schema, self._room = schema, FooterRoom(schema)
        self._file = pq.ParquetWriter(
            sink, schema, use_dictionary=False, compression="zstd", write_statistics=False, store_schema=False
        )

    def write(self, batch: Batch, predictions: list[pa.Array]) -> None:
        """Add a row group."""
        self._room.take()
        self._file.write_table(pa.table(predictions, schema=self._schema), row_group_size=batch.rows)

    def close(self) -> None:
        """Write the footer."""
        self._file.close()


class TablePart:
    """Parquet with the carried columns and the predictions, in row groups of a useful size."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        self._schema, self._room = schema, FooterRoom(schema)
        texts = [field.name for field in schema if kinds.is_string(field.type)]
        # A dictionary of floats makes writing them three times as slow and saves nothing.
        self._file = pq.ParquetWriter(sink, schema, use_dictionary=texts or False, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = 0  # that wait

    def write(self, batch: Batch, predictions: list[pa.Array]) -> None:
        """Add rows."""
        carried = batch.carried.columns if batch.carried is not None else []
        table = pa.table([*carried, *predictions], schema=self._schema)
        self._waiting.append(table)
        self._rows, self._bytes = self._rows + table.num_rows, self._bytes + table.nbytes
        if self._rows >= _ROW_GROUP_ROWS or self._bytes >= _ROW_GROUP_BYTES:
            self._write_row_group()

    def close(self) -> None:
        """Write the last row group and the footer."""
        if self._waiting:
            self._write_row_group()
        self._file.close()

    def _write_row_group(self) -> None:
        self._room.take()
        table = pa.concat_tables(self._waiting)
        self._file.write_table(table, row_group_size=table.num_rows)
        self._waiting, self._rows, self._bytes = [], 0, 0


def _joined(left: pa.Array, right: pa.Array | pa.Scalar, between: bytes) -> pa.Array:
    return pc.binary_join_element_wise(left, right, pa.scalar(between))


def _bytes_of(lines: pa.Array) -> memoryview:
    """The lines one after the other, which is how the array holds them."""
    _, offsets, data = lines.buffers()
    first, last = lines.offset, lines.offset + len(lines)
    positions = memoryview(offsets).cast("i")
    return memoryview(data)[positions[first] : positions[last]]
