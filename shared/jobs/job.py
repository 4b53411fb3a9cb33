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

ENDED_EARLY = ENDED - {JobStatus.SUCCEEDED}


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


class OnError(StrEnum):
    """What becomes of a job with a row that cannot be predicted."""

    FAIL = "fail"
    SKIP = "skip"  # the row is left out of the output, and told in the errors file


class ErrorsFormat(StrEnum):
    """Formats of the file of errors; each is the end of its file's name."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Priority(StrEnum):
    """Whose turn it is first, the most urgent first."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


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


class RowError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a row was left out.

    Attributes:
        row: its number, from 0: in a chunk's errors of the chunk, in a job's of the whole input.
        column: that is to blame, where one is.
        code: snake_case, stable.
    """

    row: int
    column: str | None
    code: str
    message: str


class RowCounts(msgspec.Struct, frozen=True):
    """Rows that are predicted, and rows that were left out."""

    done: int = 0
    failed: int = 0


class PlannedChunk(msgspec.Struct, frozen=True):
    """A part of a file; how many rows it has, where that is known before it is read."""

    source: ChunkSource
    rows: int | None
    file: int = 0  # which of the job's files


def input_key(job_id: UUID) -> str:
    """Where in storage a job's input lies; of several files the first, the others beside it."""
    return f"jobs/{job_id}/input"


def fetched_key(job_id: UUID, *, fence: int) -> str:
    """Where an input that lay elsewhere lies, as one worker fetched it."""
    return f"jobs/{job_id}/input.{fence}"


def text_key(job_id: UUID, *, fence: int, file: int = 0) -> str:
    """Where a file's text lies, as one worker unpacked it."""
    return f"jobs/{job_id}/text.{fence}" + (f".{file}" if file else "")


def part_key(job_id: UUID, index: int, *, fence: int) -> str:
    """Where the output of one attempt at a chunk lies."""
    return f"jobs/{job_id}/parts/{index}.{fence}"


def errors_part_key(part: str) -> str:
    """Where the errors of the same attempt lie; nothing is there where it had none."""
    return f"{part}.errors"


def errors_key(job_id: UUID, kind: ErrorsFormat, *, fence: int) -> str:
    """Where all errors of a job lie, as the worker that joined its result wrote them."""
    return f"jobs/{job_id}/errors.{fence}.{kind}"


def head_key(job_id: UUID, *, fence: int) -> str:
    """Where the first line of an output of text lies, as one worker planned it."""
    return f"jobs/{job_id}/head.{fence}"


def result_key(job_id: UUID, *, fence: int) -> str:
    """Where the whole output lies, as one worker joined it."""
    return f"jobs/{job_id}/result.{fence}"
