"""As much of a job's output as there is, at any time: what follows will only be added behind it."""

from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.errors import NoResult, ResultNotReady
from shared.jobs.job import ENDED, FileFormat, JobStatus
from shared.jobs.leading_parts import Piece, leading_parts
from shared.jobs.lookup import find_job, progress_of
from shared.jobs.result import check_kept, result_name, stored_result, why_no_result
from shared.jobs.tables import JobRow


class PartialResult(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of a job's output, or all of it.

    Attributes:
        pieces: that follow each other.
        digest: SHA-256, hexadecimal; None while the file is in pieces.
        rows: in the file. Input rows: that it was made of, those that were left out included.
        complete: there is no more to come: the job has succeeded.
    """

    job_id: UUID
    pieces: list[Piece]
    digest: str | None
    rows: int
    input_rows: int
    complete: bool
    format: FileFormat
    file_name: str

    @property
    def size_bytes(self) -> int:
        """Of all pieces."""
        return sum(piece.size_bytes for piece in self.pieces)


async def partial_result(session: AsyncSession, tenant_id: UUID, job: str) -> PartialResult:
    """What there is of the job's output.

    Raises:
        JobNotFound: there is none, or it is another tenant's.
        ResultNotReady: nothing can be read yet; the text says when.
        ResultExpired: it was removed.
        NoResult: it ended before anything was finished.
    """
    row = await find_job(session, tenant_id, job)
    check_kept(row)
    if row.result_key is not None:
        return await _of_one_file(session, row)
    return await _of_parts(session, row)


async def _of_one_file(session: AsyncSession, job: JobRow) -> PartialResult:
    result, progress = stored_result(job), (await progress_of(session, [job]))[job.id]
    complete, rows, input_rows = job.status == JobStatus.SUCCEEDED, progress.rows_done, progress.rows_settled
    if not complete:
        leading = (await leading_parts(session, job.id)).rows
        rows, input_rows = leading.done, leading.done + leading.failed
    return PartialResult(
        job_id=job.id,
        pieces=[Piece(result.key, result.size_bytes)],
        digest=result.digest,
        rows=rows,
        input_rows=input_rows,
        complete=complete,
        format=result.format,
        file_name=result.file_name,
    )


async def _of_parts(session: AsyncSession, job: JobRow) -> PartialResult:
    leading = await leading_parts(session, job.id)
    _check_readable(job, has_parts=bool(leading.parts))
    assert job.output_format is not None  # noqa: S101  narrows the type: it is known once there are parts
    head = [Piece(job.head["key"], job.head["size_bytes"])] if job.head else []
    return PartialResult(
        job_id=job.id,
        pieces=[*head, *leading.parts],
        digest=None,
        rows=leading.rows.done,
        input_rows=leading.rows.done + leading.rows.failed,
        complete=False,
        format=FileFormat(job.output_format),
        file_name=result_name(job.model_name, job.id, job.output_format),
    )


def _check_readable(job: JobRow, *, has_parts: bool) -> None:
    if job.status in ENDED and not has_parts:
        raise NoResult(f"{why_no_result(job)}, before the first of its rows were finished")
    if job.status == JobStatus.VALIDATING:
        raise ResultNotReady("the job is validating: its first rows are there once it runs")
    if job.output_format == FileFormat.JSONL or job.head is not None:
        return
    if job.status not in ENDED:
        raise ResultNotReady(
            f"the job is {job.status}, and Parquet is read once it is whole: ask for the `output_format` csv"
            " or jsonl to read rows while a job runs"
        )
    if job.swept_at is None:
        raise ResultNotReady("what was finished is being put together: ask again in a moment")
    raise NoResult(f"{why_no_result(job)}; what was finished could not be put together")
