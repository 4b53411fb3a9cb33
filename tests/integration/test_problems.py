"""Whatever goes wrong, the answer is a problem (RFC 9457) with an id, and tells nothing of the inside."""

import asyncio
from datetime import datetime

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient
from litestar import get, post
from litestar.params import FromPath, JSONBody
from sqlalchemy import text

from api.app import create_app
from api.auth import PUBLIC
from shared import errors
from shared.errors import FieldError

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "error", "request_id", "errors"}
LOGIN = "/api/v1/auth/login"


def assert_problem(answer, status, code):
    body = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(body) == MEMBERS
    assert body["error"] == body["detail"] != ""
    assert body["request_id"] == answer.headers["X-Request-Id"] != ""
    assert body["instance"] == answer.request.url.path
    return body


async def test_an_unknown_route(client):
    assert_problem(await client.get("/no/such/route"), 404, "route_not_found")


async def test_a_method_that_a_route_does_not_have_names_those_it_has(client):
    answer = await client.put(LOGIN)

    assert_problem(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b'{"email": ', "truncated"),
        (b'{"email": 01}', "byte 11"),
        (b"{'email': 1}", "byte 1"),
        (b'{"email": "\xff"}', "UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"email": "a\x01b"}', "byte"),
    ],
)
async def test_a_body_that_is_no_json_says_where(client, content, says):
    answer = await client.post(LOGIN, content=content)

    assert says in assert_problem(answer, 400, "malformed_json")["detail"]


@pytest.mark.parametrize("content", [b"null", b"[]", b"5", b"{}", b'{"email": "a", "password": null}'])
async def test_json_that_does_not_fit_says_where(client, content):
    answer = await client.post(LOGIN, content=content)

    assert assert_problem(answer, 422, "invalid_input")["errors"]


async def test_a_body_over_the_routes_limit_names_it(client):
    answer = await client.post(LOGIN, content=b'{"email": "' + b"x" * 2_000_000 + b'"}')

    assert "1048576 bytes" in assert_problem(answer, 413, "too_large")["detail"]


async def test_a_request_without_a_token(client):
    answer = await client.get("/api/v1/models")

    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="modelyard"')


async def test_an_id_that_a_client_gives_comes_back(client):
    answer = await client.get("/nowhere", headers={"X-Request-Id": "my-id:42"})

    assert answer.headers.get_list("X-Request-Id") == ["my-id:42"]


@pytest.mark.parametrize("given", ["a b", "x" * 129, "né", 'a"b', ""])
async def test_an_id_that_could_do_harm_is_replaced(client, given):
    answer = await client.get("/livez", headers={"X-Request-Id": given.encode()})

    assert answer.headers["X-Request-Id"] not in {given, ""}


class Thing(msgspec.Struct):
    """A body."""

    items: list[int]


RAISED = {
    "malformed": (errors.MalformedRequest("m"), 400, "malformed_request"),
    "input": (errors.InvalidInput("m", [FieldError(message="x", column="age", row=3)]), 422, "invalid_input"),
    "denied": (errors.NotAllowed("m"), 403, "not_allowed"),
    "gone": (errors.Gone("m"), 410, "gone"),
    "format": (errors.UnsupportedFormat("m"), 415, "unsupported_format"),
    "busy": (errors.Unavailable("m", retry_after_s=7), 503, "unavailable"),
    "late": (errors.DeadlineExceeded("m"), 504, "deadline_exceeded"),
    "operator": (errors.OperatorError("the secret is hunter2 in /etc/x"), 500, "operator_error"),
    "bug": (ZeroDivisionError("the secret is hunter2"), 500, "internal_error"),
    "redis": (ConnectionRefusedError("10.0.0.7:6379"), 503, "unavailable"),
    "nameless": (errors.NotFound(), 404, "not_found"),
}


class TestRaisedInAHandler:
    """On an application with a route that raises what it is asked to."""

    @pytest.fixture
    async def client(self, settings):
        @get("/raise/{name:str}", opt=PUBLIC)
        async def raise_it(name: FromPath[str]) -> None:
            raise RAISED[name][0]

        app = create_app(settings)
        app.register(raise_it)
        async with AsyncClient(transport=ASGITransport(app), base_url="http://modelyard.test") as sender:
            yield sender

    @pytest.mark.parametrize("name", RAISED)
    async def test_every_error_has_its_status_and_code(self, client, name):
        _, status, code = RAISED[name]

        body = assert_problem(await client.get(f"/raise/{name}"), status, code)

        assert "hunter2" not in str(body)
        assert "10.0.0.7" not in str(body)
        assert "Traceback" not in str(body)

    async def test_what_is_saturated_says_when_to_come_back(self, client):
        assert (await client.get("/raise/busy")).headers["Retry-After"] == "7"

    async def test_rows_and_columns_are_told(self, client):
        body = (await client.get("/raise/input")).json()

        assert body["errors"] == [{"message": "x", "column": "age", "row": 3}]


async def test_a_deep_error_names_the_place_as_a_json_pointer(settings):
    @post("/things", opt=PUBLIC, status_code=200)
    async def take(data: JSONBody[Thing]) -> None:
        """Takes things."""

    app = create_app(settings)
    app.register(take)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://modelyard.test") as client:
        answer = await client.post("/things", json={"items": [1, "two"]})

    body = assert_problem(answer, 422, "invalid_input")
    assert body["errors"] == [{"message": "Expected `int`, got `str`", "pointer": "/items/1"}]


async def test_a_database_that_goes_away_is_an_outage_and_not_a_fault(client, account, database):
    async with database.transaction() as session:
        await session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    # What was cut is noticed and replaced: nobody even sees it.
    assert (await client.get("/api/v1/models", headers=account.headers)).status_code == 200


async def test_answers_at_once_keep_their_own_ids(client):
    answers = await asyncio.gather(
        *(client.get("/nowhere", headers={"X-Request-Id": f"id-{n}"}) for n in range(20))
    )

    assert [answer.json()["request_id"] for answer in answers] == [f"id-{n}" for n in range(20)]


class Told(msgspec.Struct):
    """A body with what texts and numbers must not stand for."""

    enabled: bool = True
    until: datetime | None = None
    count: int = 1


@pytest.mark.parametrize("body", [{"enabled": 0}, {"until": 0}, {"count": "5"}, {"count": 1.5}])
async def test_a_value_of_another_type_is_not_taken_for_what_it_might_mean(settings, body):
    @post("/told", opt=PUBLIC, status_code=200)
    async def take(data: JSONBody[Told]) -> Told:
        return data

    app = create_app(settings)
    app.register(take)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://modelyard.test") as sender:
        answer = await sender.post("/told", json=body)

    [fault] = assert_problem(answer, 422, "invalid_input")["errors"]
    assert fault["pointer"] == f"/{next(iter(body))}"


async def test_the_word_null_is_no_parameter_that_was_left_out(client, account):
    path = "/api/v1/webhooks/deliveries"

    of_a_job = await client.get(f"{path}?job_id=null", headers=account.headers)
    of_a_type = await client.get(f"{path}?event_type=null", headers=account.headers)

    assert "job_id" in assert_problem(of_a_job, 422, "invalid_input")["detail"]
    assert of_a_type.status_code == 200  # a text, such as any other


async def test_a_number_is_no_time_of_the_query(client, account):
    path = "/api/v1/audit-log"

    number = await client.get(f"{path}?until=0.5", headers=account.headers)
    time = await client.get(f"{path}?until=2026-01-31T12:00:00Z", headers=account.headers)

    assert "until" in assert_problem(number, 422, "invalid_input")["detail"]
    assert time.status_code == 200


async def test_options_are_told_whatever_the_query_says(client, account):
    answer = await client.options("/api/v1/audit-log?action=null&since=5", headers=account.headers)

    assert answer.status_code == 204, answer.text
    assert "GET" in answer.headers["allow"]
