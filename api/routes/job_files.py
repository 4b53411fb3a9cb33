"""What jobs leave behind: results, the rows that were left out, what the model printed."""

from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream

from api.errors_format import ERRORS_MEDIA_TYPES, errors_format_of
from api.openapi import answers
from api.partial_file import partial_answer
from api.result_envelope import envelope_answer
from api.result_form import likes, prefers_json
from api.routes.job_ref import JobRef
from api.stored_file import IfNoneMatch, IfRange, Range, Wanted, file_answer
from shared.access.caller import Caller
from shared.database.engine import Database
from shared.jobs.envelope import Enveloped, enveloped_result
from shared.jobs.errors import NotInOnePiece
from shared.jobs.job import ErrorsFormat, FileFormat
from shared.jobs.log import read_log
from shared.jobs.partial import PartialResult, partial_result
from shared.jobs.service import JobService
from shared.storage.store import Storage

_MEDIA_TYPES = {
    FileFormat.PARQUET: "application/vnd.apache.parquet",
    FileFormat.CSV: "text/csv; charset=utf-8; header=present",
    FileFormat.JSONL: "application/jsonl",
}


@get("/{job:str}/result", status_code=200, responses=answers(401, 404, 406, 409, 410))
async def get_result(
    *,
    job: JobRef,
    caller: NamedDependency[Caller],
    jobs: NamedDependency[JobService],
    database: NamedDependency[Database],
    storage: NamedDependency[Storage],
    partial: Annotated[
        bool, QueryParameter(description="Take what there is, whether it is all or not.")
    ] = False,
    kind: Annotated[
        Literal["json"] | None, QueryParameter(name="format", description="In place of the header `Accept`.")
    ] = None,
    accept: Annotated[str | None, HeaderParameter(name="Accept")] = None,
    byte_range: Range = None,
    if_range: IfRange = None,
    if_none_match: IfNoneMatch = None,
) -> Response[Any] | Stream:
    """The output of a job that has succeeded: whole, or one range of bytes of it. 409 before it is there.

    A job whose rows came in the request is also answered in one piece, as predict answers: with `Accept:
    application/json` or `format=json`, the whole of it. 406 where it has more than 100,000 rows or 16 MiB.

    With `partial=true` the rows that are finished, in the order of the input up to the first that is not: of
    a job that runs (CSV and JSON Lines), and of one that has failed, expired or been cancelled (Parquet too).
    `X-Result-Rows` says how many there are, `X-Result-Complete` whether that is all of them.
    """
    wanted = Wanted(byte_range=byte_range, if_range=if_range, if_none_match=if_none_match)
    if partial and kind is None:
        return await _partial_answer(database, caller.tenant_id, job, wanted=wanted, storage=storage)
    result = await jobs.result(caller.tenant_id, job)
    media_type = _MEDIA_TYPES[result.format]
    if kind == "json" or prefers_json(accept, media_type):
        file_will_do = kind is None and likes(accept, media_type) > 0
        enveloped = await _enveloped(database, caller.tenant_id, job, file_will_do=file_will_do)
        if enveloped is not None:
            return await envelope_answer(enveloped, storage, if_none_match=if_none_match)
    return file_answer(result, wanted, storage=storage, media_type=media_type)


async def _partial_answer(
    database: Database, tenant_id: UUID, job: str, *, wanted: Wanted, storage: Storage
) -> Response[None] | Stream:
    async def look() -> PartialResult:
        async with database.transaction() as session:
            return await partial_result(session, tenant_id, job)

    found = await look()
    media_type = _MEDIA_TYPES[found.format]
    return partial_answer(found, wanted, storage=storage, media_type=media_type, look_again=look)


async def _enveloped(
    database: Database, tenant_id: UUID, job: str, *, file_will_do: bool
) -> Enveloped | None:
    try:
        async with database.transaction() as session:
            return await enveloped_result(session, tenant_id, job)
    except NotInOnePiece:
        if file_will_do:
            return None
        raise


@get("/{job:str}/errors", status_code=200, responses=answers(401, 404, 409, 410, 422))
async def get_errors(
    *,
    job: JobRef,
    caller: NamedDependency[Caller],
    jobs: NamedDependency[JobService],
    storage: NamedDependency[Storage],
    kind: Annotated[
        ErrorsFormat | None, QueryParameter(name="format", description="In place of the header `Accept`.")
    ] = None,
    accept: Annotated[str | None, HeaderParameter(name="Accept")] = None,
    byte_range: Range = None,
    if_range: IfRange = None,
    if_none_match: IfNoneMatch = None,
) -> Response[None] | Stream:
    """The rows that a job with `on_error=skip` has left out: `row` from 0, `column`, `code`, `message`.

    As JSON lines, as CSV, or as Parquet. A job that has skipped no row has a file without rows.
    """
    kind = kind or errors_format_of(accept)
    file = await jobs.errors_file(caller.tenant_id, job, kind)
    wanted = Wanted(byte_range=byte_range, if_range=if_range, if_none_match=if_none_match)
    return file_answer(file, wanted, storage=storage, media_type=ERRORS_MEDIA_TYPES[kind])


@get("/{job:str}/log", status_code=200, media_type="text/plain", responses=answers(401, 404))
async def get_log(
    job: JobRef, caller: NamedDependency[Caller], database: NamedDependency[Database]
) -> Response[str]:
    """What the model printed during the job: the last 64 KiB, some seconds behind while it runs."""
    async with database.transaction() as session:
        text = await read_log(session, caller.tenant_id, job)
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(text, headers=headers, media_type="text/plain")
