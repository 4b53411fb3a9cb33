"""Jobs: files of rows, predicted in the background."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency, Provide
from litestar.params import HeaderParameter, PathParameter, QueryParameter
from litestar.response import Stream

from api.entity_tag import is_among
from api.errors_format import ERRORS_MEDIA_TYPES, errors_format_of
from api.event_streams import HEADERS, MEDIA_TYPE, EventStreams
from api.job_events import event_id, job_events
from api.job_form import SubmissionForm, submitted_form
from api.openapi import answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.rate_limit import LIMITED_AS_UPLOAD
from api.stored_file import IfNoneMatch, IfRange, Range, Wanted, file_answer
from shared.access.caller import Caller
from shared.database.engine import Database
from shared.jobs.job import ErrorsFormat, FileFormat, JobStatus
from shared.jobs.log import read_log
from shared.jobs.lookup import JobFilter
from shared.jobs.news import JobNews
from shared.jobs.service import JobService
from shared.jobs.view import JobView
from shared.messaging.broker import Messenger
from shared.settings import Settings
from shared.storage.store import Storage

_MEDIA_TYPES = {
    FileFormat.PARQUET: "application/vnd.apache.parquet",
    FileFormat.CSV: "text/csv; charset=utf-8; header=present",
    FileFormat.JSONL: "application/jsonl",
}

JobRef = Annotated[str, PathParameter(description="Id of the job.", max_length=200)]
Wait = Annotated[
    float,
    QueryParameter(ge=0, le=60, description="Seconds to wait for the job to change before answering."),
]


@post(
    "/",
    status_code=202,
    operation_class=SubmissionForm,
    opt=LIMITED_AS_UPLOAD,
    responses=answers(400, 401, 404, 409, 413, 415, 422),
)
async def submit_job(
    request: Request[Any, Any, Any],
    *,
    caller: NamedDependency[Caller],
    jobs: NamedDependency[JobService],
    storage: NamedDependency[Storage],
    settings: NamedDependency[Settings],
) -> Response[JobView]:
    """Predict every row of a file. The answer comes at once; the job goes on in the background.

    The output has the rows in the order of the file, the input columns that `include` names, then
    `prediction` (`prediction_0`, `prediction_1`, … for a model with several outputs). An input column of the
    same name keeps it; ours gets an underscore at its end.
    """
    async with submitted_form(request, storage, settings) as submission:
        view = await jobs.submit(caller.tenant_id, submission.job_id, submission.form, submission.file)
    return Response(view, status_code=202, headers={"Location": f"/api/v1/jobs/{view.id}"})


@get("/", status_code=200, responses=answers(400, 401, 422))
async def list_jobs(
    *,
    caller: NamedDependency[Caller],
    jobs: NamedDependency[JobService],
    status: Annotated[JobStatus | None, QueryParameter(description="Only jobs in this state.")] = None,
    model: Annotated[str | None, QueryParameter(description="Only jobs of this model: id or name.")] = None,
    limit: PageLimit = DEFAULT_LIMIT,
    cursor: PageCursor = None,
) -> Page[JobView]:
    """The caller's jobs, the newest first."""
    wanted = JobFilter(status=status, model=model, before=from_cursor(cursor, UUID))
    found = await jobs.list_newest(caller.tenant_id, wanted, limit=limit + 1)
    return to_page(found, limit, item=lambda view: view, cursor=lambda view: view.id)


@get("/{job:str}", status_code=200, responses=answers(401, 404, 422))
async def get_job(
    job: JobRef,
    caller: NamedDependency[Caller],
    jobs: NamedDependency[JobService],
    wait: Wait = 0.0,
    if_none_match: IfNoneMatch = None,
) -> Response[JobView | None]:
    """A job and how far it is.

    The `ETag` changes with the state and with the rows done. `wait=n` holds the answer back until that
    happens, for at most n seconds: from what `If-None-Match` names, or from what the job is like now.
    """
    is_known = None if if_none_match is None else lambda view: is_among(_tag(view), if_none_match)
    view = await jobs.await_change(caller.tenant_id, job, wait_s=wait, is_known=is_known)
    headers = {"ETag": _tag(view), "Cache-Control": "no-cache"}
    if is_among(_tag(view), if_none_match):
        return Response(None, status_code=304, headers=headers)
    return Response(view, headers=headers)


@get("/{job:str}/events", status_code=200, responses=answers(401, 404))
async def get_events(
    *,
    job: JobRef,
    caller: NamedDependency[Caller],
    jobs: NamedDependency[JobService],
    event_streams: NamedDependency[EventStreams],
    settings: NamedDependency[Settings],
    last_event_id: Annotated[str, HeaderParameter(name="Last-Event-ID", max_length=100)] = "",
) -> Response[None] | Stream:
    """A job as server-sent events, from now to its end.

    `status` tells of another state, `progress` of more rows; `data` is the job. The first event tells how it
    is now, unless `Last-Event-ID` names that. 204 where the client has seen the job's end: there is no more.
    """
    view = await jobs.get(caller.tenant_id, job)
    if view.ended_at is not None and event_id(view) == last_event_id:
        return Response(None, status_code=204)
    place = event_streams.take(caller.tenant_id)
    told = job_events(
        jobs, caller.tenant_id, job_id=view.id, seen=last_event_id, lasts_s=settings.access_token_ttl_s
    )

    async def close() -> None:
        event_streams.free(caller.tenant_id, place)
        await told.aclose()

    return Stream(told, headers=HEADERS, media_type=MEDIA_TYPE, background=BackgroundTask(close))


@get("/{job:str}/result", status_code=200, responses=answers(401, 404, 409, 410))
async def get_result(
    *,
    job: JobRef,
    caller: NamedDependency[Caller],
    jobs: NamedDependency[JobService],
    storage: NamedDependency[Storage],
    byte_range: Range = None,
    if_range: IfRange = None,
    if_none_match: IfNoneMatch = None,
) -> Response[None] | Stream:
    """The output of a job that has succeeded: whole, or one range of bytes of it. 409 before it is there."""
    result = await jobs.result(caller.tenant_id, job)
    wanted = Wanted(byte_range=byte_range, if_range=if_range, if_none_match=if_none_match)
    return file_answer(result, wanted, storage=storage, media_type=_MEDIA_TYPES[result.format])


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


@post("/{job:str}/cancel", status_code=200, responses=answers(401, 404, 409))
async def cancel_job(
    job: JobRef, caller: NamedDependency[Caller], jobs: NamedDependency[JobService]
) -> JobView:
    """End a job where it stands. Cancelling twice is the same as once; 409 if it has succeeded or failed."""
    return await jobs.cancel(caller.tenant_id, job)


def _tag(view: JobView) -> str:
    """Weak: the estimates change with every look."""
    return f'W/"{view.status}-{view.rows.done + view.rows.failed}"'


def _provide_jobs(
    settings: NamedDependency[Settings],
    database: NamedDependency[Database],
    storage: NamedDependency[Storage],
    *,
    messenger: NamedDependency[Messenger],
    job_news: NamedDependency[JobNews],
) -> JobService:
    return JobService(settings, database, storage=storage, messenger=messenger, news=job_news)


jobs_routes = Router(
    "/jobs",
    route_handlers=[
        submit_job,
        list_jobs,
        get_job,
        get_events,
        get_result,
        get_errors,
        get_log,
        cancel_job,
    ],
    dependencies={"jobs": Provide(_provide_jobs, sync_to_thread=False)},
    tags=["Jobs"],
)
