"""POST predict/{model} with `Prefer: respond-async`: a job, unless the answer comes while the client waits.

`PredictRoute` leaves these requests to the framework, whose haste is enough for them. The document of the
HTTP interface has them in api/predict_described.py, with those that are answered at once.
"""

import asyncio
from typing import Annotated, Any

from litestar import Request, Response, Router, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import PathParameter

from api.job_doors import JobDoors
from api.permissions import needs
from api.predict_in_time import answer_in_time
from api.predict_request import Fields, Headers
from api.predictor import Predictor
from api.rate_limit import UNLIMITED, limit_headers, refusal
from api.request_body import whole_body
from api.routes.job_routes import SUBMITTING
from api.submission_name import name_by_key
from shared.access.caller import Caller
from shared.access.permissions import Scope
from shared.jobs.later_request import LaterRequest, LaterRequestReader
from shared.limits.limiter import RateLimiter
from shared.limits.policy import RouteClass, limits_for
from shared.predictions.body import asked_version
from shared.settings import Settings


# Counted by itself: what is answered in time as a prediction, what becomes a job as one that is sent.
@post("/{model:str}", status_code=202, opt=UNLIMITED, include_in_schema=False)
async def predict_later(
    request: Request[Any, Any, State],
    model: Annotated[str, PathParameter()],
    *,
    caller: NamedDependency[Caller],
    settings: NamedDependency[Settings],
    predictor: NamedDependency[Predictor],
    doors: NamedDependency[JobDoors],
) -> Response[Any]:
    """Predict the rows in the background, or while the client waits.

    A submission with a name is a job in any case: the same one again must find it.
    """
    name = name_by_key(request.headers.getall("idempotency-key", []))
    body = await whole_body(request, max_bytes=settings.job_rows_max_bytes)
    headers = dict(request.scope["headers"])
    headers[b"prefer"] = ", ".join(request.headers.getall("prefer")).encode("latin-1")  # one a line, maybe
    later = await _read(predictor, caller, model, headers=headers, body=body)
    if name is None:
        answer = await answer_in_time(
            predictor, settings, caller=caller, model=model, headers=headers, body=body
        )
        if answer is not None:
            status, fields, content = answer
            return Response(content, status_code=status, headers=_texts(fields))
    limits = await _counted(request.app.state.rate_limiter, settings, caller)
    taken = await doors.take_input(caller.tenant_id, later.form, later.rows, name=name)
    told = {"Location": f"/api/v1/jobs/{taken.job.id}", "Preference-Applied": "respond-async"}
    return Response(taken.job, status_code=202, headers=told | _texts(limits))


async def _read(
    predictor: Predictor, caller: Caller, model: str, *, headers: Headers, body: bytes
) -> LaterRequest:
    route = await predictor.routes.find(caller, model, asked_version(body) or None)
    reader = LaterRequestReader(route.reader, route.version.signature, max_checked_bytes=predictor.max_bytes)
    return await asyncio.to_thread(reader.read, model, headers, body)


async def _counted(limiter: RateLimiter, settings: Settings, caller: Caller) -> Fields:
    """What the caller is told of its limits, if they allow one more job."""
    decision = await limiter.take(limits_for(settings, RouteClass.UPLOAD, caller=caller, client_ip=""))
    if not decision.allowed:
        raise refusal(decision)
    return limit_headers(decision)


def _texts(fields: Fields) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in fields}


predict_later_routes = Router(
    "/predict",
    route_handlers=[predict_later],
    dependencies=SUBMITTING,
    opt=needs(Scope.PREDICT, Scope.JOBS, by_model=True),
    tags=["Predictions"],
)
