"""How a job's output is put together, which depends on the formats of its input and of itself.

input    output   a part holds                     parts are joined by
Parquet  Parquet  the predictions                  putting them beside the input's own bytes
others   Parquet  carried columns and predictions  stacking their row groups
any      CSV      lines                            writing them one after the other
any      JSONL    lines                            likewise

Parquet is stacked too where rows are left out, and where its row groups are too many for wide predictions.
"""

from collections.abc import Collection, Iterable
from typing import BinaryIO, Protocol

import pyarrow as pa

from workers.jobs.copying import copy_bytes
from workers.jobs.csv_text import header_line
from workers.jobs.parquet_join import append_columns, stack_parts
from workers.jobs.parts import CsvPart, JsonLinesPart, Part, PredictionsPart, TablePart


class Output(Protocol):
    """The output of one job."""

    def part(self, sink: BinaryIO) -> Part:
        """A writer for what comes of one chunk."""

    def join(self, parts: Iterable[BinaryIO], sink: BinaryIO, *, partial: bool = False) -> None:
        """Write the whole output, or as far as there are parts. These are in the order of the input."""


class LinesOutput:
    """CSV."""

    def __init__(self, carried: bytes | None, predictions: pa.Schema, delimiter: str) -> None:
        """Args: carried: what the header says of the carried columns; None where there are none."""
        self._carried, self._predictions, self._delimiter = carried, predictions, delimiter

    def part(self, sink: BinaryIO) -> Part:
        """Lines."""
        return CsvPart(sink, self._delimiter)

    def join(self, parts: Iterable[BinaryIO], sink: BinaryIO, *, partial: bool = False) -> None:  # noqa: ARG002  whole or not is the same here
        """A header, and the lines below."""
        names = header_line(self._predictions.names, self._delimiter)
        carried = [] if self._carried is None else [self._carried]
        sink.write(self._delimiter.encode().join([*carried, names]) + b"\n")
        for part in parts:
            copy_bytes(part, sink)


class JsonLinesOutput:
    """JSON Lines."""

    def __init__(self, predictions: pa.Schema) -> None:
        self._predictions = predictions

    def part(self, sink: BinaryIO) -> Part:
        """Lines."""
        return JsonLinesPart(sink, self._predictions.names)

    def join(self, parts: Iterable[BinaryIO], sink: BinaryIO, *, partial: bool = False) -> None:  # noqa: ARG002  whole or not is the same here
        """The lines of all parts."""
        for part in parts:
            copy_bytes(part, sink)


class StackedOutput:
    """Parquet whose parts have all the columns."""

    def __init__(self, carried: pa.Schema, predictions: pa.Schema) -> None:
        self._schema = pa.schema([*carried, *predictions])

    def part(self, sink: BinaryIO) -> Part:
        """All columns."""
        return TablePart(sink, self._schema)

    def join(self, parts: Iterable[BinaryIO], sink: BinaryIO, *, partial: bool = False) -> None:  # noqa: ARG002  whole or not is the same here
        """The row groups of all parts."""
        stack_parts(parts, self._schema, sink=sink)


class AppendedOutput:
    """Parquet whose carried columns are the input's own, to the byte."""

    def __init__(self, table: BinaryIO, keep: Collection[str] | None, predictions: pa.Schema) -> None:
        self._table, self._keep, self._predictions = table, keep, predictions

    def part(self, sink: BinaryIO) -> Part:
        """The predictions alone."""
        return PredictionsPart(sink, self._predictions)

    def join(self, parts: Iterable[BinaryIO], sink: BinaryIO, *, partial: bool = False) -> None:
        """The input's columns, and the predictions beside them."""
        append_columns(self._table, parts, self._predictions, keep=self._keep, sink=sink, partial=partial)
