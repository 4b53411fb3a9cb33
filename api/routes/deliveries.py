"""Deliveries of events: what became of each, and having them again."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, Parameter, PathParameter

from api.openapi import answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.permissions import needs
from shared.access.caller import Caller
from shared.access.permissions import Scope
from shared.database.engine import Database
from shared.jobs.hints import send_hints
from shared.jobs.lookup import granted_jobs
from shared.messaging.actors import DELIVER
from shared.messaging.broker import Messenger
from shared.settings import Settings
from shared.webhooks import listing, redelivery
from shared.webhooks.delivery import DeliveryStatus
from shared.webhooks.endpoints import find_endpoint
from shared.webhooks.listing import DeliveryFilter, DeliveryView
from shared.webhooks.request import RedeliveryRange

WebhookRef = Annotated[str, PathParameter(description="Id of the webhook.", max_length=200)]
DeliveryRef = Annotated[str, PathParameter(description="Id of the delivery.", max_length=200)]
StatusWanted = Annotated[DeliveryStatus | None, Parameter(description="Only those that are so.")]
EventWanted = Annotated[str | None, Parameter(description="Only events of this type.", max_length=100)]


class RedeliveryAnswer(msgspec.Struct, frozen=True):
    """How many deliveries are sent again, and whether there are more: send the same again for those."""

    count: int
    more: bool


@get(
    "/deliveries",
    status_code=200,
    opt=needs(Scope.WEBHOOKS, by_model=True),
    responses=answers(400, 401, 422),
)
async def list_deliveries(
    *,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    job_id: Annotated[UUID | None, Parameter(description="Only those of this job.")] = None,
    status: StatusWanted = None,
    event_type: EventWanted = None,
    cursor: PageCursor = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[DeliveryView]:
    """Deliveries to `callback_url`s and webhooks, with every attempt at each, the newest first."""
    wanted = DeliveryFilter(job_id=job_id, status=status, event_type=event_type)
    before = from_cursor(cursor, UUID)
    async with database.transaction() as session:
        found = await listing.list_deliveries(
            session, caller.tenant_id, wanted, before=before, limit=limit, of_jobs=granted_jobs()
        )
    return to_page(found, limit, item=lambda view: view, cursor=lambda view: view.id)


@get("/{webhook:str}/deliveries", status_code=200, responses=answers(400, 401, 404, 422))
async def list_webhook_deliveries(
    webhook: WebhookRef,
    *,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    status: StatusWanted = None,
    event_type: EventWanted = None,
    cursor: PageCursor = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[DeliveryView]:
    """A webhook's deliveries with status, answer and latency of every attempt, the newest first."""
    before = from_cursor(cursor, UUID)
    async with database.transaction() as session:
        endpoint = await find_endpoint(session, caller.tenant_id, webhook)
        wanted = DeliveryFilter(endpoint_id=endpoint.id, status=status, event_type=event_type)
        found = await listing.list_deliveries(session, caller.tenant_id, wanted, before=before, limit=limit)
    return to_page(found, limit, item=lambda view: view, cursor=lambda view: view.id)


@post("/{webhook:str}/test", status_code=200, responses=answers(401, 404, 409))
async def test_webhook(
    webhook: WebhookRef,
    *,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    messenger: NamedDependency[Messenger],
    settings: NamedDependency[Settings],
) -> DeliveryView:
    """Send a `webhook.test` event, signed like any other, and say what came of the first attempt.

    A receiver that fails gets it again as it would any other event.
    """
    async with database.transaction() as session:
        delivery_id = await redelivery.record_test(session, caller.tenant_id, webhook)
    await send_hints(messenger, [(DELIVER, (delivery_id,))])
    return await redelivery.wait_for_attempt(database, settings, caller.tenant_id, delivery_id=delivery_id)


@post("/{webhook:str}/redeliver", status_code=202, responses=answers(400, 401, 404, 409, 422))
async def redeliver_range(
    data: JSONBody[RedeliveryRange],
    webhook: WebhookRef,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
) -> RedeliveryAnswer:
    """Send a webhook's deliveries of a time once more, the oldest first, at most 1000 of them."""
    async with database.transaction() as session:
        count, more = await redelivery.redeliver_range(session, caller.tenant_id, webhook, data)
    return RedeliveryAnswer(count, more)


@post("/{delivery:str}/redeliver", status_code=202, responses=answers(401, 404, 409))
async def redeliver(
    delivery: DeliveryRef,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    messenger: NamedDependency[Messenger],
) -> DeliveryView:
    """Send a delivery once more: under the same `webhook-id`, on a schedule that begins anew."""
    async with database.transaction() as session:
        delivery_id = await redelivery.redeliver(session, caller.tenant_id, delivery)
        view = await listing.find_delivery(session, caller.tenant_id, delivery_id)
    await send_hints(messenger, [(DELIVER, (delivery_id,))])
    return view


deliveries_routes = Router(
    "/deliveries", route_handlers=[redeliver], opt=needs(Scope.WEBHOOKS), tags=["Webhooks"]
)
