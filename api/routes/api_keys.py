"""API keys: for programs that call the API without logging in."""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from msgspec import UNSET, Meta, UnsetType

from api.openapi import SESSION_ONLY, answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.permissions import OWN_AFFAIRS
from api.request_bodies_described import BodyIfAny
from shared.access.api_keys import ApiKeys, NewKey
from shared.access.caller import Caller
from shared.access.key_terms import KeyChanges, KeyTerms, terms_of
from shared.access.key_text import key_prefix
from shared.access.permissions import Scope
from shared.access.tables import ApiKeyRow
from shared.catalog.catalog import Catalog

KeyName = Annotated[
    str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["checkout service"])
]
KeyRef = Annotated[str, PathParameter(description="Id of the API key.", max_length=200)]


Scopes = Annotated[frozenset[Scope], Meta(min_length=1, description="What it may do; see the reference.")]
Models = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=200)]],
    Meta(min_length=1, max_length=1_000, description="Ids or names of the only models that it may use."),
]
ExpiresAt = Annotated[datetime, Meta(tz=True, description="In the future, with a time zone.")]
RateLimit = Annotated[
    int, Meta(ge=1, le=1_000_000_000, description="Requests a minute, for each kind of requests by itself.")
]


class NewKeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made. What is left out or null confines it no further than its maker's role does."""

    name: KeyName
    scopes: Scopes | None = None
    models: Models | None = None
    expires_at: ExpiresAt | None = None
    rate_limit: RateLimit | None = None


class KeyChangesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be different. What is left out stays; null takes the bound away."""

    JSON_SCHEMA: ClassVar = {"minProperties": 1}

    name: KeyName | UnsetType = UNSET
    scopes: Scopes | UnsetType | None = UNSET
    models: Models | UnsetType | None = UNSET
    expires_at: ExpiresAt | UnsetType | None = UNSET
    rate_limit: RateLimit | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        if all(getattr(self, name) is UNSET for name in self.__struct_fields__):
            raise ValueError("give at least one of name, scopes, models, expires_at and rate_limit")


class RotationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a secret is replaced; `grace_seconds` is how long the one before works on, 0: not at all."""

    grace_seconds: Annotated[int, Meta(ge=0, le=30 * 24 * 3600)] | None = None


class KeyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A key, as its owner knows it again: by the begin and the end of its secret.

    Attributes:
        created_by: id of the user that it speaks for.
        scopes: null: whatever the role of its maker allows.
        models: ids; null: all of the tenant's.
        expires_at: null: never.
        rate_limit: null: the platform's limits alone.
        previous_expires_at: when the secret before the last rotation stops or has stopped working.
    """

    id: UUID
    name: str
    prefix: str
    last4: str
    created_at: datetime
    created_by: UUID
    last_used_at: datetime | None
    scopes: list[Scope] | None
    models: list[UUID] | None
    expires_at: datetime | None
    rate_limit: int | None
    previous_expires_at: datetime | None


class NewKeyAnswer(KeyAnswer, frozen=True, kw_only=True):
    """A key with its secret, which is shown this once."""

    secret: str


@post("/", status_code=201, security=SESSION_ONLY, responses=answers(401, 403, 409, 422))
async def create_key(
    data: JSONBody[NewKeyRequest],
    caller: NamedDependency[Caller],
    api_keys: NamedDependency[ApiKeys],
    catalog: NamedDependency[Catalog],
) -> NewKeyAnswer:
    """Make a key. Its secret is shown in this answer and never again: only its hash is kept."""
    terms = KeyTerms(
        scopes=data.scopes,
        models=None if data.models is None else await catalog.ids_of(caller.tenant_id, data.models),
        expires_at=data.expires_at,
        rate_limit=data.rate_limit,
    )
    return _with_secret(await api_keys.create(caller, name=data.name, terms=terms))


@get("/", status_code=200, security=SESSION_ONLY, responses=answers(400, 401, 403, 422))
async def list_keys(
    caller: NamedDependency[Caller],
    api_keys: NamedDependency[ApiKeys],
    cursor: PageCursor = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[KeyAnswer]:
    """The keys that the caller made, for owners and admins those of the whole organisation, the newest first.

    `last_used_at` is right to the minute.
    """
    found = await api_keys.list_keys(caller, before=from_cursor(cursor, UUID), limit=limit)
    return to_page(found, limit, item=key_answer, cursor=lambda row: row.id)


@get("/{key:str}", status_code=200, security=SESSION_ONLY, responses=answers(401, 403, 404))
async def get_key(
    key: KeyRef, caller: NamedDependency[Caller], api_keys: NamedDependency[ApiKeys]
) -> KeyAnswer:
    """One key."""
    return key_answer(await api_keys.get(caller, key))


@patch("/{key:str}", status_code=200, security=SESSION_ONLY, responses=answers(401, 403, 404, 422))
async def change_key(
    key: KeyRef,
    data: JSONBody[KeyChangesRequest],
    caller: NamedDependency[Caller],
    api_keys: NamedDependency[ApiKeys],
    catalog: NamedDependency[Catalog],
) -> KeyAnswer:
    """Change what a key is called or may do. It holds within a second, everywhere."""
    models = data.models
    changes = KeyChanges(
        name=data.name,
        scopes=data.scopes,
        models=await catalog.ids_of(caller.tenant_id, models) if isinstance(models, list) else models,
        expires_at=data.expires_at,
        rate_limit=data.rate_limit,
    )
    return key_answer(await api_keys.change(caller, key, changes))


@post(
    "/{key:str}/rotate",
    status_code=200,
    operation_class=BodyIfAny,
    security=SESSION_ONLY,
    responses=answers(401, 403, 404, 422),
)
async def rotate_key(
    key: KeyRef,
    caller: NamedDependency[Caller],
    api_keys: NamedDependency[ApiKeys],
    data: JSONBody[RotationRequest | None] = None,
) -> NewKeyAnswer:
    """Give a key another secret, shown in this answer and never again.

    The secret before works on for `grace_seconds` (a day, unless the platform is set up otherwise); one that
    is older still ends now. Everything else stays as it is.
    """
    grace_s = None if data is None else data.grace_seconds
    return _with_secret(await api_keys.rotate(caller, key, grace_s=grace_s))


@delete("/{key:str}", status_code=204, security=SESSION_ONLY, responses=answers(401, 403, 404))
async def revoke_key(
    key: KeyRef, caller: NamedDependency[Caller], api_keys: NamedDependency[ApiKeys]
) -> None:
    """End a key. It stops working within a second, everywhere."""
    await api_keys.revoke(caller, key)


def key_answer(row: ApiKeyRow) -> KeyAnswer:
    """What its owner is told of a key: never the hash."""
    terms = terms_of(row)
    return KeyAnswer(
        id=row.id,
        name=row.name,
        prefix=key_prefix(row.id),
        last4=row.last4,
        created_at=row.created_at,
        created_by=row.user_id,
        last_used_at=row.last_used_at,
        scopes=None if terms.scopes is None else sorted(terms.scopes),
        models=row.models,
        expires_at=row.expires_at,
        rate_limit=row.rate_limit,
        previous_expires_at=row.previous_expires_at,
    )


def _with_secret(made: NewKey) -> NewKeyAnswer:
    return NewKeyAnswer(secret=made.text, **msgspec.structs.asdict(key_answer(made.row)))


api_keys_routes = Router(
    "/api-keys",
    route_handlers=[create_key, list_keys, get_key, change_key, rotate_key, revoke_key],
    opt=OWN_AFFAIRS,
    tags=["API keys"],
)
