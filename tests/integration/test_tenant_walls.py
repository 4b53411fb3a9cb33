"""Walks over every route there is: as another tenant, as nobody, and with a key that was revoked.

The routes are those of the OpenAPI document, so that a new one cannot be forgotten: where it takes a
parameter or a body that is not known here, the walk fails and says so. Add what it needs to
tests/fixtures/belongings.py and to `bodies` below.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from httpx import AsyncClient, Response
from litestar import Litestar

from tests.fixtures.api import Account, Judge
from tests.fixtures.belongings import Belongings

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
}
NOT_THERE = (404,)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent beside the path, and which answers are right."""

    send: dict[str, Any] = {}
    statuses: tuple[int, ...] = NOT_THERE
    by_id_alone: bool = False  # a name that is another's is free: with that it would make something new


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


def bodies(anns: Belongings, bobs_model: str) -> dict[str, list[Case]]:
    """What routes with a body are sent: wherever it names something, that is Ann's."""
    rows = {"rows": [[5.1, 3.5, 1.4, 0.2]]}
    with_upload = {"upload_id": anns.names["upload"][0]}
    model, content = anns.names["model"][0], {"content": b"bytes"}
    of_file = {"headers": {"Content-Type": "application/octet-stream"}} | content
    ours = {"statuses": (201,)}
    jobs = [
        Case(send={"json": {"model": model, "input": rows}}),
        Case(send={"json": {"model": bobs_model, "input": with_upload}}),
        Case(send={"data": {"model": model}, "files": {"file": ("rows.csv", b"a,b\n1,2\n")}}),
        Case(send={"json": {"model": model, "input": rows}, "headers": {"Idempotency-Key": anns.key_of_job}}),
    ]
    return {
        "GET /readyz": [Case(statuses=(503,))],  # no worker is there
        "POST /api/v1/auth/register": [
            Case(send={"json": {"email": anns.email, "password": "short"}}, statuses=(422,))
        ],
        "POST /api/v1/auth/login": [
            Case(send={"json": {"email": "bob@example.com", "password": "anything"}}, statuses=(401,))
        ],
        "POST /api/v1/auth/refresh": [Case(send={"json": {"refresh_token": "x" * 43}}, statuses=(401,))],
        "POST /api/v1/auth/logout": [Case(send={"json": {"refresh_token": "x" * 43}}, statuses=(204,))],
        "POST /api/v1/api-keys": [Case(send={"json": {"name": "Bob's"}}, **ours)],
        "POST /api/v1/models/upload": [
            Case(
                send={
                    "data": {"name": bobs_model},
                    "files": {"file": ("model.pkl", b"bytes")},
                    "headers": {"Prefer": "wait=0"},
                },
                **ours,
            )
        ],
        "PUT /api/v1/models/{model}/versions": [Case(send=of_file, by_id_alone=True)],
        "PATCH /api/v1/models/{model}": [Case(send={"json": {"description": "Bob's"}})],
        "POST /api/v1/jobs": jobs,
        "PUT /api/v1/jobs/{job}": jobs[:3],
        "POST /api/v1/schedules": [
            Case(send={"json": {"name": "b", "cron": "@daily", "job": {"model": model, "input": rows}}})
        ],
        "PATCH /api/v1/schedules/{schedule}": [Case(send={"json": {"enabled": False}})],
        "POST /api/v1/uploads": [Case(send={"json": {}}, **ours)],
        "PATCH /api/v1/uploads/{upload}": [
            Case(send={"headers": {"Upload-Offset": "0"} | of_file["headers"]} | content)
        ],
        "POST /api/v1/predict/{model}": [
            Case(send={"json": {"input": rows["rows"]}}),
            Case(send={"json": {"input": rows["rows"]}, "headers": {"Prefer": "respond-async"}}),
        ],
    }


def cases_of(operation: Operation, anns: Belongings, *, given: dict[str, list[Case]]) -> list[Case]:
    if "requestBody" in operation.described or operation.name in given:
        assert operation.name in given, f"say in `bodies` what {operation.name} is sent"
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
async def bobs_model(stranger: Account, client: AsyncClient, judge: Judge) -> str:
    """A model that serves the other tenant."""
    answer = await client.post(
        "/api/v1/models/upload",
        data={"name": "bobs-own"},
        files={"file": ("model.pkl", b"bytes")},
        headers=stranger.headers | {"Prefer": "wait=0"},
    )
    await judge(answer.json()["version"]["id"])
    return "bobs-own"


def test_the_document_has_every_route(app: Litestar):
    documented = {operation.name for operation in operations(app)}

    routed = {
        f"{method} {route.path_format}" for route in app.routes for method in route.methods - {"OPTIONS"}
    }

    assert routed - documented - {f"HEAD {get[4:]}" for get in UNDOCUMENTED} == UNDOCUMENTED


async def test_no_route_leads_to_what_is_another_tenants(
    app: Litestar, client: AsyncClient, stranger: Account, belongings: Belongings, bobs_model: str
):
    given, walked, tried = bodies(belongings, bobs_model), set(), 0
    before = await belongings.snapshot()

    for operation in operations(app):
        for case in cases_of(operation, belongings, given=given):
            for path in operation.paths(belongings, by_id_alone=case.by_id_alone):
                answer = await ask(client, operation, path, case=case, **stranger.headers)
                walked.add(operation.name)
                tried += 1
                assert answer.status_code in case.statuses, f"{operation.name} {case}: {answer.text}"
                shown = belongings.shown_in(answer, unless=f"{path} {case.send}")
                assert not shown, f"{operation.name} shows {shown}: {answer.text}"

    assert await belongings.snapshot() == before
    assert len(walked) == len(operations(app))
    assert given.keys() <= walked, "`bodies` names a route that is no more"
    print(f"{len(walked)} operations, {tried} requests as another tenant")  # noqa: T201  for who runs it with -s


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
