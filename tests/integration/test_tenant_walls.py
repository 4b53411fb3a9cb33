"""Walks over every route there is: as another tenant, as nobody, and with a key that was revoked.

The routes are those of the OpenAPI document, so that a new one cannot be forgotten: where it takes a
parameter or a body that is not known here, the walk fails and says so. Add what it needs to
tests/fixtures/belongings.py and to `bodies` in tests/fixtures/trespasses.py.
"""

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from httpx import AsyncClient, Response
from litestar import Litestar

from shared.access.homes import add_member
from shared.access.permissions import Role
from shared.database.engine import Database
from tests.fixtures.api import Account, Judge
from tests.fixtures.belongings import Belongings
from tests.fixtures.teams import Acting
from tests.fixtures.trespasses import Case, bodies

Serve = Callable[[Account], Awaitable[str]]
Share = Callable[[Belongings], Awaitable[Account]]

# Not in the document: it itself, and the pages and files by which people read it.
UNDOCUMENTED = {
    f"GET {path}"
    for path in (
        "/",
        "/docs",
        "/docs/openapi.json",
        "/docs/{path}",
        "/openapi.json",
        "/redoc",
        "/static/{file_path}",
    )
}
# Narrow a list down, or say how an answer shall look: they name nothing that is anybody's.
PLAIN_QUERY = {
    "limit",
    "from",
    "to",
    "step",
    "version",
    "status",
    "wait",
    "partial",
    "format",
    "redirect",
} | {
    "model_type",
    "outputs",
    "key",
    "event_type",
    "action",
    "since",
    "until",
    "cookies",
}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A method of a path of the document."""

    method: str
    path: str
    described: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_public(self) -> bool:
        return self.described.get("security") == [{}]

    def parameters(self, place: str) -> list[str]:
        return [each["name"] for each in self.described.get("parameters", []) if each["in"] == place]

    def paths(self, belongings: Belongings, *, by_id_alone: bool = False) -> list[str]:
        """With whatever somebody could call their things, filled in."""
        names = self.parameters("path")
        unknown = set(names) - belongings.names.keys()
        assert not unknown, f"{self.name} takes {unknown}: say in tests/fixtures/belongings.py what that is"
        most = 1 if by_id_alone else None
        every = itertools.product(*(belongings.names[name][:most] for name in names))
        return [self.path.format(**dict(zip(names, chosen, strict=True))) for chosen in every]


def operations(app: Litestar) -> list[Operation]:
    paths = app.openapi_schema.to_schema()["paths"]
    return [
        Operation(method=method.upper(), path=path, described=described)
        for path, methods in paths.items()
        for method, described in methods.items()
    ]


def cases_of(operation: Operation, anns: Belongings, *, given: dict[str, list[Case]]) -> list[Case]:
    if "requestBody" in operation.described or operation.name in given:
        assert operation.name in given, f"say in trespasses.py what {operation.name} is sent"
        return given[operation.name]
    if operation.parameters("path"):
        return [Case()]
    return [Case(statuses=(200,)), *queries(operation, anns)]


def queries(operation: Operation, anns: Belongings) -> Iterator[Case]:
    """Lists that are asked for what is Ann's: they are empty, or there is no such thing."""
    for name in set(operation.parameters("query")) - PLAIN_QUERY:
        assert name in anns.names, f"{operation.name} takes {name}: say in belongings.py what that is"
        for value in anns.names[name]:
            yield Case(send={"params": {name: value}}, statuses=(200, 400, 404))


async def ask(
    client: AsyncClient, operation: Operation, path: str, *, case: Case, **headers: str
) -> Response:
    send = case.send | {"headers": case.send.get("headers", {}) | headers}
    return await client.request(operation.method, path, **send)


@pytest.fixture
def serve(client: AsyncClient, judge: Judge) -> Serve:
    """Uploads a model that serves Bob's organisation; gives its name."""

    async def make(bob: Account) -> str:
        answer = await client.post(
            "/api/v1/models/upload",
            data={"name": "bobs-own"},
            files={"file": ("model.pkl", b"bytes")},
            headers=bob.headers | {"Prefer": "wait=0"},
        )
        await judge(answer.json()["version"]["id"])
        return "bobs-own"

    return make


@pytest.fixture
def share(client: AsyncClient, stranger: Account, acting: Acting, database: Database) -> Share:
    """Makes an organisation in which somebody is a member of Bob's; gives Bob acting there."""

    async def make(anns: Belongings) -> Account:
        made = await client.post("/api/v1/organizations", json={"name": "Both"}, headers=stranger.headers)
        tenant_id, user_id = UUID(made.json()["id"]), UUID(anns.names["user"][0])
        async with database.transaction() as session:
            await add_member(session, tenant_id=tenant_id, user_id=user_id, role=Role.MEMBER)
        return await acting(stranger, msgspec.structs.replace(stranger, tenant_id=tenant_id))

    return make


def test_the_document_has_every_route(app: Litestar):
    documented = {operation.name for operation in operations(app)}

    routed = {
        f"{method} {route.path_format}" for route in app.routes for method in route.methods - {"OPTIONS"}
    }

    assert routed - documented - {f"HEAD {name[4:]}" for name in routed if name[:4] == "GET "} == UNDOCUMENTED


def ends_the_session(operation: Operation) -> bool:
    """Such go last: afterwards nobody is there to go on."""
    return operation.name.endswith("/logout-everywhere")


async def walk(
    app: Litestar, client: AsyncClient, anns: Belongings, *, bobs_model: str, bob: Account
) -> Counter[str]:
    """Try every operation there is on what is Ann's; how many requests that were, by operation."""
    given, tried = bodies(anns, bobs_model), Counter[str]()
    for operation in sorted(operations(app), key=ends_the_session):
        for case in cases_of(operation, anns, given=given):
            for path in operation.paths(anns, by_id_alone=case.by_id_alone):
                answer = await ask(client, operation, path, case=case, **bob.headers)
                tried[operation.name] += 1
                assert answer.status_code in case.statuses, f"{operation.name} {case}: {answer.text}"
                shown = anns.shown_in(answer, unless=f"{path} {case.send}")
                assert not shown, f"{operation.name} shows {shown}: {answer.text}"
    assert given.keys() <= tried.keys(), "`bodies` names a route that is no more"
    assert len(tried) == len(operations(app))
    return tried


async def test_no_route_leads_to_what_is_another_tenants(
    app: Litestar, client: AsyncClient, stranger: Account, serve: Serve, belongings: Belongings
):
    bobs_model, before = await serve(stranger), await belongings.snapshot()

    tried = await walk(app, client, belongings, bobs_model=bobs_model, bob=stranger)

    assert await belongings.snapshot() == before
    print(f"{len(tried)} operations, {tried.total()} requests as another tenant")  # noqa: T201  for who runs it with -s


async def test_to_be_in_an_organisation_with_somebody_does_not_lead_to_their_others(
    app: Litestar, client: AsyncClient, share: Share, serve: Serve, belongings: Belongings
):
    bob = await share(belongings)
    bobs_model, before = await serve(bob), await belongings.snapshot()
    theirs = set(belongings.names["user"][:1]) | {belongings.email}  # whom Bob is with, and sees there
    anns = msgspec.structs.replace(
        belongings,
        names=belongings.names | {"user": belongings.names["user"][1:]},
        marks=belongings.marks - theirs,
    )

    await walk(app, client, anns, bobs_model=bobs_model, bob=bob)

    assert await belongings.snapshot() == before


async def test_what_the_walk_asks_for_is_there_for_its_owner(
    app: Litestar, client: AsyncClient, belongings: Belongings
):
    for operation in operations(app):
        if operation.method in {"GET", "HEAD"} and not operation.is_public:
            for path in operation.paths(belongings):
                answer = await ask(client, operation, path, case=Case(), **belongings.headers)
                assert answer.is_success, f"{operation.name}: {answer.text}"


async def test_without_a_credential_only_what_is_public_answers(
    app: Litestar, client: AsyncClient, belongings: Belongings
):
    for operation in operations(app):
        if not operation.is_public:
            for path in operation.paths(belongings):
                answer = await ask(client, operation, path, case=Case())
                assert answer.status_code == 401, f"{operation.name}: {answer.text}"


async def test_a_key_that_was_revoked_opens_nothing(
    app: Litestar, client: AsyncClient, belongings: Belongings
):
    before = await client.get("/api/v1/models", headers={"X-API-Key": belongings.key})
    revoked = await client.delete(
        f"/api/v1/api-keys/{belongings.names['key'][0]}", headers=belongings.headers
    )

    assert (before.status_code, revoked.status_code) == (200, 204)
    for operation in operations(app):
        if not operation.is_public:
            for path in operation.paths(belongings):
                answer = await ask(client, operation, path, case=Case(), **{"X-API-Key": belongings.key})
                assert answer.status_code == 401, f"{operation.name}: {answer.text}"
