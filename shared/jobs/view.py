"""A job as its owner sees it: in answers, in lists, and in the events about its end."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from shared.jobs.input_address import InputAddress
from shared.jobs.job import FileFormat, JobError, JobStatus, OnError, Priority
from shared.jobs.options import ENDS, PROGRESS
from shared.jobs.progress import Progress, estimated_end_at, rows_per_second
from shared.jobs.tables import JobRow


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of rows: predicted, and left out. `total` is null until it is known."""

    total: int | None
    done: int
    failed: int = 0


class JobInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The file that was sent, or where it lies; what is not known before it is fetched is null.

    Digest: SHA-256, hexadecimal. Of several files, the first one's name, the size of all, and the digest of
    what `sha256sum` prints of them.
    """

    file_name: str
    format: FileFormat | None
    size_bytes: int | None
    sha256: str | None
    url: str | None = None  # without what may be secret
    files: int = 1


class JobOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The file that comes of it; size, digest and rows are null before the end, the format until it is known.

    Attributes:
        outputs: of the model, that are written beside its prediction.
        partial: the job ended early, and the file has the rows before the first that was not finished.
    """

    format: FileFormat | None
    include: Literal["all", "none"] | list[str]
    outputs: list[str]
    size_bytes: int | None
    sha256: str | None
    rows: int | None = None
    partial: bool = False


class JobUrls(msgspec.Struct, frozen=True, kw_only=True):
    """Where to ask on."""

    self: str
    result: str
    errors: str
    cancel: str
    retry: str
    events: str
    log: str


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job and how far it is. Each state it was in has its time. Client id: the one its owner chose.

    Schedule id: of the schedule that submitted it.
    """

    id: UUID
    client_id: UUID | None
    schedule_id: UUID | None
    status: JobStatus
    model: str
    version: int
    rows: Rows
    rows_per_second: float | None
    estimated_end_at: datetime | None
    input: JobInput
    output: JobOutput
    on_error: OnError
    priority: Priority
    callback_url: str | None
    events: list[str]
    metadata: dict[str, Any]
    error: JobError | None
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finalizing_at: datetime | None
    succeeded_at: datetime | None
    failed_at: datetime | None
    cancelled_at: datetime | None
    expired_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None
    retries: int
    retried_at: datetime | None
    files_removed_at: datetime | None
    urls: JobUrls

    @property
    def mark(self) -> str:
        """What it is like, for those who ask whether it has changed: its state, retries and rows done.

        What comes before the first hyphen is the state.
        """
        again = f"-again{self.retries}" if self.retries else ""
        kept = "-kept" if self.output.partial else ""
        kept = "-removed" if self.files_removed_at else kept
        return f"{self.status}-{self.rows.done}-{self.rows.failed}{again}{kept}"


_TIMES = tuple(name for name in JobView.__struct_fields__ if name.endswith("_at") and hasattr(JobRow, name))


def job_view(job: JobRow, progress: Progress, *, public_url: str) -> JobView:
    """What the owner sees of a job."""
    return JobView(
        **{name: getattr(job, name) for name in _TIMES},
        estimated_end_at=estimated_end_at(job, progress),
        id=job.id,
        client_id=job.client_id,
        schedule_id=job.schedule_id,
        status=JobStatus(job.status),
        model=job.model_name,
        version=job.version_number,
        rows=Rows(total=job.rows_total, done=progress.rows_done, failed=progress.rows_failed),
        rows_per_second=rows_per_second(job, progress),
        input=_input(job),
        output=_output(job, progress),
        on_error=OnError(job.on_error),
        priority=Priority(job.priority),
        callback_url=job.callback_url,
        events=_events(job),
        metadata=job.labels,
        error=msgspec.convert(job.error, JobError) if job.error else None,
        retries=job.retries,
        urls=_urls(f"{public_url}/api/v1/jobs/{job.id}"),
    )


def _input(job: JobRow) -> JobInput:
    return JobInput(
        file_name=job.input_file_name,
        format=FileFormat(job.input_format) if job.input_format else None,
        size_bytes=job.input_size_bytes,
        sha256=job.input_digest,
        url=InputAddress(job.input_url).shown() if job.input_url else None,
        files=job.input_files,
    )


def _output(job: JobRow, progress: Progress) -> JobOutput:
    is_partial = job.result_key is not None and job.status != JobStatus.SUCCEEDED
    rows = progress.rows_done if job.status == JobStatus.SUCCEEDED else job.result_rows
    return JobOutput(
        format=FileFormat(job.output_format) if job.output_format else None,
        include="all" if job.output_columns is None else job.output_columns or "none",
        outputs=job.further_outputs,
        size_bytes=job.result_size_bytes,
        sha256=job.result_digest,
        rows=rows,
        partial=is_partial,
    )


def _events(job: JobRow) -> list[str]:
    """What `callback_url` is told of."""
    if job.callback_url is None:
        return []
    return [*ENDS, PROGRESS] if job.tells_progress else [*ENDS]


def _urls(job_url: str) -> JobUrls:
    return JobUrls(
        self=job_url,
        result=f"{job_url}/result",
        errors=f"{job_url}/errors",
        cancel=f"{job_url}/cancel",
        retry=f"{job_url}/retry",
        events=f"{job_url}/events",
        log=f"{job_url}/log",
    )
