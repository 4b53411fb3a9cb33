"""The result of a job in the form that a prediction has which is answered at once.

Only of jobs whose rows came in the request: those are few enough to be answered in one piece.
"""

from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.catalog.verdict import Output
from shared.jobs.errors import NotInOnePiece
from shared.jobs.job import FileFormat
from shared.jobs.lookup import find_job, progress_of
from shared.jobs.result import Result, result_of
from shared.jobs.tables import JobRow

MAX_ROWS: Final = 100_000
MAX_BYTES: Final = 16 * 1024 * 1024  # of the file, and about as much of the answer

_FILE: Final = "read the file: ask for `application/jsonl`, or send no `Accept`"


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an answer needs to know beside the predictions.

    Attributes:
        single: one row was sent as such, and is answered as such.
        columns: over how many columns of the file a row's prediction is spread; None: it is one value.
        warnings: what the sender of the rows should know.
    """

    single: bool = False
    columns: int | None = None
    warnings: tuple[str, ...] = ()


class Enveloped(msgspec.Struct, frozen=True, kw_only=True):
    """A result of JSON Lines, and what is to be put around it."""

    job_id: UUID
    model: str
    version: int
    result: Result
    envelope: Envelope


def prediction_columns(main: Output) -> int | None:
    """Over how many columns of a file the model's main output is spread; None: each is one value."""
    return main.shape[0] if len(main.shape) == 1 else None


async def enveloped_result(session: AsyncSession, tenant_id: UUID, job: str) -> Enveloped:
    """The result of a job that has succeeded, if it can be answered in one piece.

    Raises:
        JobNotFound, ResultNotReady, ResultExpired, NoResult: as for the file.
        NotInOnePiece: it cannot; the text says why.
    """
    row = await find_job(session, tenant_id, job)
    result = result_of(row)
    progress = await progress_of(session, [row])
    return Enveloped(
        job_id=row.id,
        model=row.model_name,
        version=row.version_number,
        result=result,
        envelope=_envelope(row, result, rows_left_out=progress[row.id].rows_failed),
    )


def _envelope(job: JobRow, result: Result, *, rows_left_out: int) -> Envelope:
    if job.envelope is None:
        raise NotInOnePiece(f"only jobs whose rows came in the request are answered as JSON; {_FILE}")
    if result.format is not FileFormat.JSONL:
        raise NotInOnePiece(f"the job was asked to write {result.format}, which is no JSON; {_FILE}")
    if job.further_outputs:
        raise NotInOnePiece(f"the job was asked for more than the prediction; {_FILE}")
    if rows_left_out:
        raise NotInOnePiece(
            f"rows were left out: {rows_left_out}, and predictions alone do not say which; {_FILE}"
        )
    if result.size_bytes > MAX_BYTES or (job.rows_total or 0) > MAX_ROWS:
        raise NotInOnePiece(
            f"the result has {job.rows_total} rows and {result.size_bytes} bytes; an answer in one piece may"
            f" have {MAX_ROWS} and {MAX_BYTES}; {_FILE}"
        )
    return msgspec.convert(job.envelope, Envelope)
