"""A job's states and options, without any I/O."""

from enum import StrEnum

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


class RowGroups(msgspec.Struct, frozen=True, tag="row_groups"):
    """A chunk of a Parquet file: row groups from `first` up to `last`, excluded."""

    first: int
    last: int


class ByteRange(msgspec.Struct, frozen=True, tag="byte_range"):
    """A chunk of a CSV file: whole records, from byte `start` up to `end`, excluded."""

    start: int
    end: int


ChunkSource = RowGroups | ByteRange
