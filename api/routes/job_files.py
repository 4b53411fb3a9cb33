"""What jobs leave behind: results, the rows that were left out, what the model printed."""

from typing import Annotated, Any, Literal

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream

from api.errors_format import ERRORS_MEDIA_TYPES, errors_format_of
from api.file_answers_described import ELSEWHERE, IN_ONE_PIECE, UNCHANGED, ErrorsFile, ResultFile
from api.openapi import answers
from api.result_answers import ResultAnswers
from api.result_form import ResultForm
from api.routes.job_ref import JobRef
from api.stored_file import IfNoneMatch, IfRange, Range, Wanted, file_answer
from shared.access.caller import Caller
from shared.database.engine import Database
from shared.jobs.job import ErrorsFormat
from shared.jobs.log import read_log
from shared.jobs.service import JobService
from shared.storage.store import Storage


@get(
    "/{job:str}/result",
    status_code=200,
    operation_class=ResultFile,
    responses=answers(401, 404, 406, 409, 410, 416) | IN_ONE_PIECE | UNCHANGED | ELSEWHERE,
)
async def get_result(
    *,
    job: JobRef,
    caller: NamedDependency[Caller],
    results: NamedDependency[ResultAnswers],
    partial: Annotated[
        bool, QueryParameter(description="Take what there is, whether it is all or not.")
    ] = False,
    kind: Annotated[
        Literal["json"] | None, QueryParameter(name="format", description="In place of the header `Accept`.")
    ] = None,
    redirect: Annotated[
        bool, QueryParameter(description="Be sent on to the bucket, where results lie in one.")
    ] = False,
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

    With `redirect=true` 307 to a signed link into the bucket, which works for some minutes and without
    credentials; where results lie in a folder they are sent as ever.
    """
    wanted = Wanted(byte_range=byte_range, if_range=if_range, if_none_match=if_none_match)
    if partial and kind is None:
        return await results.partial(caller.tenant_id, job, wanted)
    form = ResultForm(must_be_json=kind == "json", accept=accept, redirect=redirect)
    return await results.whole(caller.tenant_id, job, wanted, form=form)


@get(
    "/{job:str}/errors",
    status_code=200,
    operation_class=ErrorsFile,
    responses=answers(401, 404, 406, 409, 410, 416, 422) | UNCHANGED,
)
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
