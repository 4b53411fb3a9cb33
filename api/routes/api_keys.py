"""API keys: for programs that call the API without logging in."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from msgspec import Meta

from api.openapi import SESSION_ONLY, answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.permissions import OWN_AFFAIRS
from shared.access.api_keys import ApiKeys
from shared.access.caller import Caller
from shared.access.key_text import key_prefix
from shared.access.tables import ApiKeyRow

KeyName = Annotated[
    str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["checkout service"])
]
KeyRef = Annotated[str, PathParameter(description="Id of the API key.", max_length=200)]


class NewKeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made."""

    name: KeyName


class KeyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A key, as its owner knows it again: by the begin and the end of its secret."""

    id: UUID
    name: str
    prefix: str
    last4: str
    created_at: datetime
    last_used_at: datetime | None


class NewKeyAnswer(KeyAnswer, frozen=True, kw_only=True):
    """A key with its secret, which is shown this once."""

    secret: str


@post("/", status_code=201, security=SESSION_ONLY, responses=answers(401, 403, 409, 422))
async def create_key(
    data: JSONBody[NewKeyRequest], caller: NamedDependency[Caller], api_keys: NamedDependency[ApiKeys]
) -> NewKeyAnswer:
    """Make a key. Its secret is shown in this answer and never again: only its hash is kept."""
    made = await api_keys.create(caller, name=data.name)
    return NewKeyAnswer(secret=made.text, **msgspec.structs.asdict(key_answer(made.row)))


@get("/", status_code=200, security=SESSION_ONLY, responses=answers(400, 401, 403, 422))
async def list_keys(
    caller: NamedDependency[Caller],
    api_keys: NamedDependency[ApiKeys],
    cursor: PageCursor = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[KeyAnswer]:
    """The caller's keys, the newest first. `last_used_at` is right to the minute."""
    found = await api_keys.list_keys(caller, before=from_cursor(cursor, UUID), limit=limit)
    return to_page(found, limit, item=key_answer, cursor=lambda row: row.id)


@delete("/{key:str}", status_code=204, security=SESSION_ONLY, responses=answers(401, 403, 404))
async def revoke_key(
    key: KeyRef, caller: NamedDependency[Caller], api_keys: NamedDependency[ApiKeys]
) -> None:
    """End a key. It stops working within a second, everywhere."""
    await api_keys.revoke(caller, key)


def key_answer(row: ApiKeyRow) -> KeyAnswer:
    """What its owner is told of a key: never the hash."""
    return KeyAnswer(
        id=row.id,
        name=row.name,
        prefix=key_prefix(row.id),
        last4=row.last4,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )


api_keys_routes = Router(
    "/api-keys", route_handlers=[create_key, list_keys, revoke_key], opt=OWN_AFFAIRS, tags=["API keys"]
)
