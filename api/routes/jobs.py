"""Jobs that were submitted: following and cancelling them."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream

from api.auth import still_holds
from api.entity_tag import is_among
from api.event_streams import HEADERS, MEDIA_TYPE, EventStreams
from api.file_answers_described import SEEN_TO_THE_END, UNCHANGED, Events
from api.head_answers import WITHOUT_HEAD
from api.job_events import event_id, job_events
from api.openapi import answer, answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.routes.job_ref import JobRef
from api.stored_file import IfNoneMatch
from shared.access.caller import Caller
from shared.jobs.job import JobStatus
from shared.jobs.lookup import JobFilter
from shared.jobs.service import JobService
from shared.jobs.view import JobView
from shared.schedules.service import Schedules
from shared.settings import Settings

AS_IT_IS = {200: answer(JobView, "The job as it is now.")}
Wait = Annotated[
    float,
    QueryParameter(ge=0, le=60, description="Seconds to wait for the job to change before answering."),
]


@get("/", status_code=200, responses=answers(400, 401, 404, 422))
async def list_jobs(
    *,
    caller: NamedDependency[Caller],
    jobs: NamedDependency[JobService],
    schedules: NamedDependency[Schedules],
    status: Annotated[JobStatus | None, QueryParameter(description="Only jobs in this state.")] = None,
    model: Annotated[str | None, QueryParameter(description="Only jobs of this model: id or name.")] = None,
    schedule: Annotated[
        str | None, QueryParameter(description="Only jobs that this schedule has submitted: id or name.")
    ] = None,
    limit: PageLimit = DEFAULT_LIMIT,
    cursor: PageCursor = None,
) -> Page[JobView]:
    """The caller's jobs, the newest first."""
    schedule_id = None if schedule is None else await schedules.id_of(caller.tenant_id, schedule)
    before = from_cursor(cursor, UUID)
    wanted = JobFilter(status=status, model=model, schedule_id=schedule_id, before=before)
    found = await jobs.list_newest(caller.tenant_id, wanted, limit=limit + 1)
    return to_page(found, limit, item=lambda view: view, cursor=lambda view: view.id)


@get("/{job:str}", status_code=200, responses=answers(401, 404, 422) | UNCHANGED | AS_IT_IS)
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


@get(
    "/{job:str}/events",
    status_code=200,
    opt=WITHOUT_HEAD,
    operation_class=Events,
    responses=answers(401, 404) | SEEN_TO_THE_END,
)
async def get_events(
    request: Request[Any, Any, Any],
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
        jobs,
        caller.tenant_id,
        job_id=view.id,
        seen=last_event_id,
        lasts_s=settings.access_token_ttl_s,
        holds=still_holds(request),
    )

    async def close() -> None:
        event_streams.free(caller.tenant_id, place)
        await told.aclose()

    return Stream(told, headers=HEADERS, media_type=MEDIA_TYPE, background=BackgroundTask(close))


@post("/{job:str}/cancel", status_code=200, responses=answers(401, 404, 409))
async def cancel_job(
    job: JobRef, caller: NamedDependency[Caller], jobs: NamedDependency[JobService]
) -> JobView:
    """End a job where it stands. Cancelling twice is the same as once; 409 if it has succeeded or failed."""
    return await jobs.cancel(caller.tenant_id, job)


def _tag(view: JobView) -> str:
    """Weak: the estimates change with every look."""
    return f'W/"{view.mark}"'
