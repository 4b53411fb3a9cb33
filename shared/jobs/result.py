"""The output of a job, and why there is none."""

from typing import Final
from uuid import UUID

import msgspec

from shared.jobs.errors import NoResult, ResultExpired, ResultNotReady
from shared.jobs.job import ENDED, FileFormat, JobStatus
from shared.jobs.tables import JobRow

MEDIA_TYPES: Final = {
    FileFormat.PARQUET: "application/vnd.apache.parquet",
    FileFormat.CSV: "text/csv; charset=utf-8; header=present",
    FileFormat.JSONL: "application/jsonl",
}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A job's output in storage, and how to hand it out. Digest: SHA-256, hexadecimal."""

    key: str
    size_bytes: int
    digest: str
    format: FileFormat
    file_name: str


def result_of(job: JobRow) -> Result:
    """The output of a job that has succeeded.

    Raises:
        ResultNotReady: the job has not ended.
        ResultExpired: it was removed.
        NoResult: it ended without one.
    """
    check_kept(job)
    if job.status not in ENDED:
        raise ResultNotReady(f"the job is {job.status}: its result is there once it has succeeded")
    if job.status != JobStatus.SUCCEEDED:
        raise NoResult(
            f"{why_no_result(job)}; with `?partial=true` you get the rows that were finished, if any"
        )
    return stored_result(job)


def check_kept(job: JobRow) -> None:
    """Whether the job's files are still there.

    Raises:
        ResultExpired: they are not.
    """
    if job.files_removed_at is not None:
        day = f"{job.files_removed_at:%Y-%m-%d}"
        raise ResultExpired(f"the files of this job were removed on {day}, having been kept for long enough")


def stored_result(job: JobRow) -> Result:
    """The file of a job that has one, whole or of what was finished.

    Raises:
        NoResult: it has none.
    """
    if not (job.result_key and job.result_digest and job.output_format) or job.result_size_bytes is None:
        raise NoResult(why_no_result(job))
    return Result(
        key=job.result_key,
        size_bytes=job.result_size_bytes,
        digest=job.result_digest,
        format=FileFormat(job.output_format),
        file_name=result_name(job.model_name, job.id, job.output_format),
    )


def result_name(model_name: str, job_id: UUID, format_: str | None) -> str:
    """To keep the output under."""
    return f"{model_name}-{job_id}.{format_}"


def why_no_result(job: JobRow) -> str:
    """Of a job that has ended, in words."""
    why = f": {job.error['message']}" if job.error else ""
    return f"the job has {'been ' if job.status == JobStatus.CANCELLED else ''}{job.status}{why}"
