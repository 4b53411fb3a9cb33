"""A job's states and options, without any I/O."""

from enum import StrEnum
from uuid import UUID

import msgspec


class JobStatus(StrEnum):
    """Where a job is in its life."""

    VALIDATING = "validating"
    QUEUED = "queued"
    RUNNING = "running"
    FINALIZING = "finalizing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


ENDED = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED})


class ChunkStatus(StrEnum):
    """Where a chunk is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"


class FileFormat(StrEnum):
    """Formats of inputs and outputs."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"
    ARROW = "arrow"  # of inputs alone


class RowGroups(msgspec.Struct, frozen=True, tag="row_groups"):
    """A chunk of a Parquet file: row groups from `first` up to `last`, excluded."""

    first: int
    last: int


class ByteRange(msgspec.Struct, frozen=True, tag="byte_range"):
    """A chunk of a file of text: whole records, from byte `start` up to `end`, excluded."""

    start: int
    end: int


class RecordBatches(msgspec.Struct, frozen=True, tag="record_batches"):
    """A chunk of an Arrow file: whole messages, from byte `start` up to `end`, excluded.

    Attributes:
        first_row: how many rows come before it.
    """

    start: int
    end: int
    first_row: int


ChunkSource = RowGroups | ByteRange | RecordBatches


class JobError(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Why a job, or one attempt at a chunk of it, failed.

    Attributes:
        code: snake_case, stable.
        row: number of the row in the input, from 0, header lines not counted.
    """

    code: str
    message: str
    chunk: int | None = None
    row: int | None = None
    column: str | None = None


class PlannedChunk(msgspec.Struct, frozen=True):
    """A part of the input; how many rows it has, where that is known before it is read."""

    source: ChunkSource
    rows: int | None


def input_key(job_id: UUID) -> str:
    """Where in storage a job's input lies."""
    return f"jobs/{job_id}/input"


def text_key(job_id: UUID, *, fence: int) -> str:
    """Where the input's text lies, as one worker unpacked it."""
    return f"jobs/{job_id}/text.{fence}"


def part_key(job_id: UUID, index: int, *, fence: int) -> str:
    """Where the output of one attempt at a chunk lies."""
    return f"jobs/{job_id}/parts/{index}.{fence}"


def result_key(job_id: UUID, *, fence: int) -> str:
    """Where the whole output lies, as one worker joined it."""
    return f"jobs/{job_id}/result.{fence}"
