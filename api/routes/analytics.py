"""Analytics: how a model was used."""

from datetime import datetime
from typing import Annotated

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from api.openapi import answers
from api.permissions import needs
from shared.access.caller import Caller
from shared.access.permissions import Scope
from shared.analytics.lookup import report_use
from shared.analytics.report import Report
from shared.analytics.window import Step, window
from shared.clock import utc_now
from shared.database.engine import Database

ModelRef = Annotated[str, PathParameter(description="Id or name of the model.", max_length=200)]
From = Annotated[
    datetime | None,
    QueryParameter(
        name="from", description="Moved back to where its step begins; an hour, a day or 30 days before `to`."
    ),
]
To = Annotated[datetime | None, QueryParameter(description="Now, if it is not given.")]


@get("/models/{model:str}/analytics", status_code=200, responses=answers(401, 404, 422))
async def get_analytics(
    *,
    model: ModelRef,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    from_: From = None,
    to: To = None,
    step: Annotated[Step, QueryParameter(description="How much time a point stands for.")] = Step.MINUTE,
    version: Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1, description="Only this one.")] = None,
) -> Report:
    """How often a model was asked, how that ended, and how long it took.

    A request is there two seconds after its answer at the latest. Times without a zone are taken for UTC.
    """
    asked = window(from_, to, step, now=utc_now())
    async with database.transaction() as session:
        return await report_use(session, caller.tenant_id, model, asked, version=version)


analytics_routes = Router(
    "/", route_handlers=[get_analytics], opt=needs(Scope.ANALYTICS, by_model=True), tags=["Models"]
)
