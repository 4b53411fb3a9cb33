"""Webhooks: the secret to verify them with, and what became of each."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import Parameter

from api.openapi import answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.permissions import needs
from shared.access.caller import Caller
from shared.access.permissions import Scope
from shared.database.engine import Database
from shared.settings import Settings
from shared.webhooks import listing
from shared.webhooks.listing import DeliveryView


class SecretAnswer(msgspec.Struct, frozen=True):
    """What a receiver verifies signatures with, as Standard Webhooks libraries take it."""

    secret: str


@get("/secret", status_code=200, responses=answers(401))
async def read_secret(
    caller: NamedDependency[Caller], database: NamedDependency[Database], settings: NamedDependency[Settings]
) -> SecretAnswer:
    """The secret that every delivery of the caller's tenant is signed with."""
    async with database.transaction() as session:
        return SecretAnswer(await listing.read_secret(session, caller.tenant_id, settings))


@get("/deliveries", status_code=200, responses=answers(400, 401))
async def list_deliveries(
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    job_id: Annotated[UUID | None, Parameter(description="Only those of this job.")] = None,
    cursor: PageCursor = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[DeliveryView]:
    """Deliveries with every attempt at each, the newest first."""
    before = from_cursor(cursor, UUID)
    async with database.transaction() as session:
        found = await listing.list_deliveries(
            session, caller.tenant_id, job_id=job_id, before=before, limit=limit
        )
    return to_page(found, limit, item=lambda view: view, cursor=lambda view: view.id)


webhooks_routes = Router(
    "/webhooks", route_handlers=[read_secret, list_deliveries], opt=needs(Scope.WEBHOOKS), tags=["Webhooks"]
)
