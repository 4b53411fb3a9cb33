"""A job's input, whatever its format."""

from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from shared.jobs.job import FileFormat, PlannedChunk
from shared.jobs.order import Order
from workers.jobs.arrow_input import ArrowInput
from workers.jobs.batch import Batch
from workers.jobs.columns import Columns
from workers.jobs.csv_input import CsvInput
from workers.jobs.json_input import JsonLinesInput
from workers.jobs.outputs import Output
from workers.jobs.parquet_input import ParquetInput

_INPUTS: dict[FileFormat, type[ArrowInput | CsvInput | JsonLinesInput | ParquetInput]] = {
    FileFormat.PARQUET: ParquetInput,
    FileFormat.CSV: CsvInput,
    FileFormat.JSONL: JsonLinesInput,
    FileFormat.ARROW: ArrowInput,
}
_MIN_CHUNK_BYTES = 4 * 1024 * 1024  # below this a chunk costs more than it saves
_CHUNKS = 8  # of an input that is smaller than so many whole chunks, so that every worker gets some


class JobInput(Protocol):
    """A file to predict. Rows are counted from 0, header lines not counted."""

    columns: Columns

    @property
    def size_bytes(self) -> int:
        """What the size of chunks is measured on."""

    def plan(self, chunk_bytes: int) -> list[PlannedChunk]:
        """All rows in chunks of about that size."""

    def first_row(self, chunk: Any) -> int:
        """How many rows come before the chunk."""

    def batches(self, chunk: Any, *, rows: int) -> Iterator[Batch]:
        """The chunk in batches of at most `rows`."""

    def carried(self) -> pa.Schema:
        """The columns that go into the output."""

    def output(self) -> Output:
        """How the job's output is put together."""


def open_input(file: BinaryIO, order: Order) -> JobInput:
    """The input of a job, its columns matched with those that the model takes.

    Raises:
        UnreadableInput: it is damaged, or its columns do not fit.
    """
    return _INPUTS[order.input_format](file, order)


def plan_chunks(job_input: JobInput, *, chunk_bytes: int) -> list[PlannedChunk]:
    """Chunks that depend on the file and the settings alone, never on who works: outputs must not either."""
    fair_share = max(job_input.size_bytes // _CHUNKS, _MIN_CHUNK_BYTES)
    return job_input.plan(min(chunk_bytes, fair_share))
