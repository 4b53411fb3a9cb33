"""Webhooks: addresses that events are sent to."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from api.openapi import answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.permissions import needs, needs_to_change
from api.routes.deliveries import list_deliveries, list_webhook_deliveries, redeliver_range, test_webhook
from shared.access.caller import Caller
from shared.access.permissions import Scope
from shared.database.engine import Database
from shared.settings import Settings
from shared.webhooks import listing
from shared.webhooks.endpoints import Endpoints
from shared.webhooks.request import NewWebhook, WebhookChanges
from shared.webhooks.tables import EndpointRow

WebhookRef = Annotated[str, PathParameter(description="Id of the webhook.", max_length=200)]


class SecretAnswer(msgspec.Struct, frozen=True):
    """What a receiver verifies signatures with, as Standard Webhooks libraries take it."""

    secret: str


class WebhookAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An address that events are sent to.

    Attributes:
        events: which; empty for all but `job.progress`.
        disabled_reason: `owner`, `gone` (it answered 410) or `exhausted` (all attempts failed).
        old_secret_until: until when the secret before the last rotation signs beside the present one.
    """

    id: UUID
    url: str
    events: list[str]
    description: str
    enabled: bool
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
    old_secret_until: datetime | None


class NewWebhookAnswer(WebhookAnswer, frozen=True, kw_only=True):
    """A webhook with its secret; `GET webhooks/{id}/secret` shows that again."""

    secret: str


@post("/", status_code=201, responses=answers(400, 401, 409, 422))
async def create_webhook(
    data: JSONBody[NewWebhook],
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
) -> Response[NewWebhookAnswer]:
    """Have events sent to an address, signed with a secret of its own."""
    endpoint, secret = await Endpoints(settings, database).create(caller, data)
    return Response(_with_secret(endpoint, secret), headers={"Location": f"/api/v1/webhooks/{endpoint.id}"})


@get("/", status_code=200, responses=answers(400, 401, 422))
async def list_webhooks(
    *,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    limit: PageLimit = DEFAULT_LIMIT,
    cursor: PageCursor = None,
) -> Page[WebhookAnswer]:
    """The caller's webhooks, the newest first."""
    before = from_cursor(cursor, UUID)
    found = await Endpoints(settings, database).list_newest(caller.tenant_id, before=before, limit=limit + 1)
    return to_page(found, limit, item=_answer, cursor=lambda row: row.id)


@get("/{webhook:str}", status_code=200, responses=answers(401, 404))
async def get_webhook(
    webhook: WebhookRef,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
) -> WebhookAnswer:
    """A webhook: what it is sent, and whether it is enabled."""
    return _answer(await Endpoints(settings, database).get(caller.tenant_id, webhook))


@patch("/{webhook:str}", status_code=200, responses=answers(400, 401, 404, 422))
async def change_webhook(
    data: JSONBody[WebhookChanges],
    webhook: WebhookRef,
    *,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
) -> WebhookAnswer:
    """Change the fields that are sent. What waits for a webhook that is disabled is held, and not sent."""
    return _answer(await Endpoints(settings, database).change(caller.tenant_id, webhook, data))


@delete("/{webhook:str}", status_code=204, responses=answers(401, 404))
async def delete_webhook(
    webhook: WebhookRef,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
) -> None:
    """Forget a webhook, with its deliveries."""
    await Endpoints(settings, database).delete(caller.tenant_id, webhook)


@get(
    "/{webhook:str}/secret",
    status_code=200,
    opt=needs_to_change(Scope.WEBHOOKS),
    responses=answers(401, 403, 404),
)
async def read_webhook_secret(
    webhook: WebhookRef,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
) -> SecretAnswer:
    """The secret that this webhook's deliveries are signed with."""
    return SecretAnswer(await Endpoints(settings, database).read_secret(caller.tenant_id, webhook))


@post("/{webhook:str}/rotate", status_code=200, responses=answers(401, 404))
async def rotate_webhook(
    webhook: WebhookRef,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
) -> NewWebhookAnswer:
    """Give a webhook another secret. Until `old_secret_until` the old one signs too."""
    endpoint, secret = await Endpoints(settings, database).rotate(caller.tenant_id, webhook)
    return _with_secret(endpoint, secret)


@get("/secret", status_code=200, opt=needs_to_change(Scope.WEBHOOKS), responses=answers(401, 403))
async def read_secret(
    caller: NamedDependency[Caller], database: NamedDependency[Database], settings: NamedDependency[Settings]
) -> SecretAnswer:
    """The secret that deliveries to `callback_url`s of the caller's tenant are signed with."""
    async with database.transaction() as session:
        return SecretAnswer(await listing.read_secret(session, caller.tenant_id, settings))


@post("/secret/rotate", status_code=200, responses=answers(401))
async def rotate_secret(
    caller: NamedDependency[Caller], database: NamedDependency[Database], settings: NamedDependency[Settings]
) -> SecretAnswer:
    """Give `callback_url`s another secret. The old one signs too for a while: a day, by default."""
    async with database.transaction() as session:
        return SecretAnswer(await listing.rotate_secret(session, caller.tenant_id, settings))


def _answer(endpoint: EndpointRow) -> WebhookAnswer:
    return WebhookAnswer(**_shown(endpoint))


def _with_secret(endpoint: EndpointRow, secret: str) -> NewWebhookAnswer:
    return NewWebhookAnswer(secret=secret, **_shown(endpoint))


def _shown(endpoint: EndpointRow) -> dict[str, Any]:
    names = [name for name in WebhookAnswer.__struct_fields__ if name != "old_secret_until"]
    shown = {name: getattr(endpoint, name) for name in names}
    return {**shown, "old_secret_until": endpoint.salt_before_until}


webhooks_routes = Router(
    "/webhooks",
    route_handlers=[
        create_webhook,
        list_webhooks,
        read_secret,
        rotate_secret,
        list_deliveries,
        get_webhook,
        change_webhook,
        delete_webhook,
        read_webhook_secret,
        rotate_webhook,
        list_webhook_deliveries,
        test_webhook,
        redeliver_range,
    ],
    opt=needs(Scope.WEBHOOKS),
    tags=["Webhooks"],
)
