"""A file on its way through all that a job does with it, but for the model."""

import io
from typing import Any
from uuid import UUID

import msgspec
import pyarrow as pa

from shared.catalog.verdict import Column, Datatype, Layout, Output, Signature
from shared.jobs.errors import UnreadableInput
from shared.jobs.input_format import SNIFFED_BYTES, recognise
from shared.jobs.job import ByteRange, FileFormat, OnError, PlannedChunk
from shared.jobs.order import Order
from shared.jobs.text_encoding import TextEncoding
from workers.jobs.batch import Batch
from workers.jobs.job_input import JobInput, open_input
from workers.jobs.unpacking import NotText, must_unpack, unpack_text

COLUMNS = {
    "age": Datatype.INT64,
    "pay": Datatype.FP64,
    "active": Datatype.BOOL,
    "city": Datatype.BYTES,
    "size": Datatype.FP32,
}
BATCH_ROWS = 64
CHUNK_BYTES = 4096
UNPACKED_MAX_BYTES = 64 * 1024 * 1024


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How a job is asked for."""

    skip: bool = False
    output: FileFormat | None = None
    keep: list[str] | None = None


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a file.

    Attributes:
        rows: what the model would have got.
        numbers: of these rows in the file.
        total: of all rows, those that were left out too.
        text: what a packed file, or one in another encoding, was unpacked to.
    """

    format: FileFormat
    rows: list[dict[str, Any]]
    numbers: list[int]
    total: int
    text: bytes
    output: bytes


def read_as_a_job(content: bytes, manner: Manner) -> Read:
    """Do with a file what a job does.

    Raises:
        PlatformError: it cannot be read, and says why.
    """
    found = recognise(content[:SNIFFED_BYTES], "rows")
    order = _order(found.format, manner)
    text = content
    if found.encoding is not None and must_unpack(io.BytesIO(content), found.encoding):
        text = _unpacked(content, order, found.encoding)
    file = io.BytesIO(text)
    chunks = open_input(file, order).plan(CHUNK_BYTES)
    found_rows = _Rows()
    parts = [_part(open_input(file, order), chunk, found_rows) for chunk in chunks]
    output = io.BytesIO()
    open_input(file, order).output().join(iter(parts), output)
    return Read(
        format=found.format,
        rows=found_rows.rows,
        numbers=found_rows.numbers,
        total=found_rows.total,
        text=text,
        output=output.getvalue(),
    )


class _Rows:
    """What has been read so far."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.numbers: list[int] = []
        self.total = 0

    def add(self, batch: Batch, before: int) -> None:
        """Args: before: rows of the file before the chunk."""
        self.rows += batch.inputs.to_pylist()
        self.numbers += [before + int(number) for number in batch.numbers]
        self.total += batch.rows + len(batch.refused)


def _unpacked(content: bytes, order: Order, encoding: TextEncoding) -> bytes:
    sink = io.BytesIO()
    try:
        unpack_text(io.BytesIO(content), sink, encoding=encoding, most_bytes=UNPACKED_MAX_BYTES)
    except NotText as fault:
        row = open_input(sink, order).first_row(ByteRange(fault.size_bytes, fault.size_bytes)) - 1
        raise UnreadableInput(str(fault), row=row) from None
    return sink.getvalue()


def _part(job_input: JobInput, chunk: PlannedChunk, found: _Rows) -> io.BytesIO:
    sink = io.BytesIO()
    before = job_input.first_row(chunk.source)
    part = job_input.output().part(sink)
    for batch in job_input.batches(chunk.source, rows=BATCH_ROWS):
        if batch.rows:
            part.write(batch, _predictions(job_input.columns.predictions, batch.rows))
        found.add(batch, before)
    part.close()
    sink.seek(0)
    return sink


def _predictions(schema: pa.Schema, rows: int) -> list[pa.Array]:
    return [pa.array([1] * rows, field.type) for field in schema]


def _order(input_format: FileFormat, manner: Manner) -> Order:
    output = manner.output or input_format
    return Order(
        job_id=UUID(int=1),
        input_key="in",
        version_id=UUID(int=2),
        artifact_key="model",
        input_format=input_format,
        output_format=FileFormat.PARQUET if output is FileFormat.ARROW else output,
        output_columns=manner.keep,
        on_error=OnError.SKIP if manner.skip else OnError.FAIL,
        signature=Signature(
            inputs=[Column(name=name, datatype=kind) for name, kind in COLUMNS.items()],
            named=True,
            layout=Layout.TABLE,
            outputs=[Output(name="label", datatype=Datatype.INT64)],
        ),
    )
