"""Schedules: jobs that the clock submits."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import PathParameter

from api.openapi import answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.permissions import needs
from api.rate_limit import LIMITED_AS_UPLOAD
from api.schedule_described import NewScheduleBody, ScheduleChangesBody
from shared.access.caller import Caller
from shared.access.permissions import Scope
from shared.jobs.view import JobView
from shared.schedules.request import read_changes, read_new_schedule
from shared.schedules.service import Schedules
from shared.schedules.view import ScheduleView

ScheduleRef = Annotated[str, PathParameter(description="Id or name of the schedule.", max_length=200)]


@post("/", status_code=201, operation_class=NewScheduleBody, responses=answers(400, 401, 404, 409, 413, 422))
async def create_schedule(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], schedules: NamedDependency[Schedules]
) -> Response[ScheduleView]:
    """Have a job submitted by the clock: again and again by `cron`, or once at `run_at`.

    `job` is the body of `POST jobs`. Its input is read anew every time: a `url`, in which `{date}`, `{year}`,
    `{month}`, `{day}` and `{hour}` stand for the time that is due, or `rows`.
    """
    view = await schedules.create(caller.tenant_id, read_new_schedule(await request.body()))
    return Response(view, headers={"Location": f"/api/v1/schedules/{view.id}"})


@get("/", status_code=200, responses=answers(400, 401, 422))
async def list_schedules(
    *,
    caller: NamedDependency[Caller],
    schedules: NamedDependency[Schedules],
    limit: PageLimit = DEFAULT_LIMIT,
    cursor: PageCursor = None,
) -> Page[ScheduleView]:
    """The caller's schedules, the newest first."""
    before = from_cursor(cursor, UUID)
    found = await schedules.list_newest(caller.tenant_id, before=before, limit=limit + 1)
    return to_page(found, limit, item=lambda view: view, cursor=lambda view: view.id)


@get("/{schedule:str}", status_code=200, responses=answers(401, 404))
async def get_schedule(
    schedule: ScheduleRef, caller: NamedDependency[Caller], schedules: NamedDependency[Schedules]
) -> ScheduleView:
    """A schedule: when it is due, and what came of the last time."""
    return await schedules.get(caller.tenant_id, schedule)


@patch(
    "/{schedule:str}",
    status_code=200,
    operation_class=ScheduleChangesBody,
    responses=answers(400, 401, 404, 409, 413, 422),
)
async def change_schedule(
    request: Request[Any, Any, Any],
    schedule: ScheduleRef,
    *,
    caller: NamedDependency[Caller],
    schedules: NamedDependency[Schedules],
) -> ScheduleView:
    """Change the fields that are sent. `null` removes `starts_at` and `ends_at`."""
    return await schedules.change(caller.tenant_id, schedule, read_changes(await request.body()))


@delete("/{schedule:str}", status_code=204, responses=answers(401, 404))
async def delete_schedule(
    schedule: ScheduleRef, caller: NamedDependency[Caller], schedules: NamedDependency[Schedules]
) -> None:
    """Forget a schedule. Its jobs stay, those that run too."""
    await schedules.delete(caller.tenant_id, schedule)


@post("/{schedule:str}/run", status_code=202, opt=LIMITED_AS_UPLOAD, responses=answers(401, 404, 409, 422))
async def run_schedule(
    schedule: ScheduleRef, caller: NamedDependency[Caller], schedules: NamedDependency[Schedules]
) -> Response[JobView]:
    """Submit the job now, whether the schedule is enabled or not. Its times stay as they are."""
    job = await schedules.run(caller.tenant_id, schedule)
    return Response(job, status_code=202, headers={"Location": f"/api/v1/jobs/{job.id}"})


schedules_routes = Router(
    "/schedules",
    route_handlers=[
        create_schedule,
        list_schedules,
        get_schedule,
        change_schedule,
        delete_schedule,
        run_schedule,
    ],
    opt=needs(Scope.JOBS, by_model=True),
    tags=["Schedules"],
)
