"""Usage: what the caller's tenant has and uses, and how much of each it may."""

from litestar import Router, get
from litestar.datastructures import State
from litestar.di import NamedDependency

from api.openapi import answers
from api.permissions import needs
from shared.access.caller import Caller
from shared.access.permissions import Scope
from shared.database.engine import Database
from shared.limits.day_count import counted_today
from shared.quotas.quota import Quota
from shared.quotas.usage import Usage, usage_of
from shared.settings import Settings


@get("/", status_code=200, responses=answers(401))
async def get_usage(
    state: State,
    *,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
) -> Usage:
    """What you have and use, the quota of each, and what each of the last 30 days took.

    A `limit` that is null is none. Days are those of UTC. Requests to predict are there two seconds after
    their answer at the latest; where they have a quota, what counts against it is exact.
    """
    counted = {}
    if state.prediction_quotas.of(caller.tenant_id):
        counted[Quota.PREDICTIONS_PER_DAY] = await counted_today(state.redis, caller.tenant_id)
    async with database.transaction() as session:
        return await usage_of(session, caller.tenant_id, settings=settings, counted=counted)


usage_routes = Router("/usage", route_handlers=[get_usage], opt=needs(Scope.ANALYTICS), tags=["Accounts"])
