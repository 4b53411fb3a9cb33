"""The file of rows that a job has left out, in one of its formats."""

import msgspec

from shared.jobs.errors import NoResult, ResultNotReady
from shared.jobs.job import ENDED, ErrorsFormat, JobStatus
from shared.jobs.result import check_kept, why_no_result
from shared.jobs.tables import JobRow


class ErrorsFile(msgspec.Struct, frozen=True, kw_only=True):
    """Where it lies, and how to hand it out. Digest: SHA-256, hexadecimal."""

    key: str
    size_bytes: int
    digest: str
    file_name: str


def errors_file_of(job: JobRow, kind: ErrorsFormat) -> ErrorsFile:
    """The file of a job that has one.

    Raises:
        ResultNotReady: the job has not ended.
        ResultExpired: it was removed.
        NoResult: it ended without one, or does not skip rows.
    """
    check_kept(job)
    if job.status not in ENDED:
        raise ResultNotReady(f"the job is {job.status}: its errors are there once it has succeeded")
    if job.errors_files is None:
        raise NoResult(_why_no_errors(job))
    file = job.errors_files[kind]
    return msgspec.convert(file | {"file_name": f"{job.model_name}-{job.id}-errors.{kind}"}, ErrorsFile)


def _why_no_errors(job: JobRow) -> str:
    if job.status == JobStatus.SUCCEEDED:
        return "the job does not skip rows (`on_error` is `fail`): it has predicted every one of them"
    return f"{why_no_result(job)}; no rows were finished that have a file of errors"
