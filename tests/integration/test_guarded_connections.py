"""What a stranger can do to an API process with sockets: two-faced requests, and clients that never end."""

import asyncio
from contextlib import AsyncExitStack, ExitStack

import httpx
import msgspec
import pytest

from tests.fixtures.platform import find_free_port
from tests.fixtures.processes import started
from tests.fixtures.servers import settings_for
from tests.fixtures.serving import Connection

HEAD = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
LIVE = HEAD + b"\r\n"
LOGIN = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
MANY = 100

pytestmark = pytest.mark.xdist_group("test_guarded_connections")


@pytest.fixture(scope="module")
async def port(database_url, redis_url, tmp_path_factory):
    """Of a process that loses patience at once, and takes so many connections of one address."""
    folder = tmp_path_factory.mktemp("guarded")
    settings = msgspec.structs.replace(
        settings_for(database_url, redis_url, folder),
        port=find_free_port(),
        head_timeout_s=4.0,
        body_min_bytes_s=1000,
        body_grace_s=3.0,
        send_timeout_s=2.0,
        max_connections_per_address=2 * MANY + 50,
        log_level="error",
    )
    with ExitStack() as stack:
        process = stack.enter_context(started("api", settings, folder / "api.log"))
        async with asyncio.timeout(60), httpx.AsyncClient() as client:
            while True:
                try:
                    await client.get(f"http://127.0.0.1:{settings.port}/livez")
                    break
                except httpx.TransportError:
                    assert process.popen.poll() is None, process.log.read_text()
                    await asyncio.sleep(0.05)
        yield settings.port


@pytest.fixture
async def connect(port):
    async with AsyncExitStack() as stack:

        async def connect() -> Connection:
            connection = await Connection.to(port)
            stack.callback(connection.leave)
            return connection

        yield connect


@pytest.fixture
async def line(connect):
    return await connect()


async def closed(line: Connection) -> bool:
    try:
        return await line.ended()
    except ConnectionError:
        return True


def assert_problem(answer, status, code):
    body = answer.json()
    assert (answer.status, body["status"], body["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["request_id"] == answer.headers["x-request-id"] != ""
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"\x16\x03\x01\x02\x00 a TLS hello\r\n\r\n", 400, "malformed_http"),
        (LOGIN + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "malformed_http"),
        (LOGIN + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, "malformed_http"),
        (LOGIN + b"Content-Length: +2\r\n\r\n{}", 400, "malformed_http"),
        (LOGIN + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, "malformed_http"),
        (LOGIN + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400, "malformed_http"),
        (
            LOGIN.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "malformed_http",
        ),
        (LOGIN + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "malformed_http"),
        (LOGIN + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n", 400, "malformed_http"),
        (
            LOGIN + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Late: 1\r\n\r\n",
            400,
            "malformed_http",
        ),
        (LOGIN + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"x" * 1_000_000, 400, "malformed_http"),
        (LOGIN + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 1_000_000, 400, "malformed_http"),
        (HEAD + b"X-Nul: a\x00b\r\n\r\n", 400, "malformed_http"),
        (HEAD + b"X-Space : a\r\n\r\n", 400, "malformed_http"),
        (HEAD + b"Host: other\r\n\r\n", 400, "malformed_http"),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400, "malformed_http"),
        (b"GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "malformed_http"),
        (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", 400, "malformed_http"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "target_too_long"),
        (HEAD + b"A: b\r\n" * 100 + b"\r\n", 431, "head_too_large"),
        (HEAD + b"A: " + b"b" * 66_000 + b"\r\n\r\n", 431, "head_too_large"),
        (HEAD + b"A: " + b"b" * 2_000_000, 431, "head_too_large"),
    ],
)
async def test_what_is_malformed_is_refused_and_the_connection_closed(line, sent, status, code):
    line.writer.write(sent)

    assert_problem(await line.answer(), status, code)
    assert await closed(line)


@pytest.mark.parametrize(
    "target",
    [
        b"//evil.example/livez",
        b"/static/../../api/app.py",
        b"/static/%2e%2e/%2e%2e/app.py",
        b"/static/..%2f..%2fapp.py",
        b"/%00",
        b"/static/docs.js%00.html",
        b"/\xff",
        b"/%ff",
    ],
)
async def test_a_path_that_leads_astray_leads_nowhere(line, target):
    answer = await line.ask(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert answer.status in {400, 404}
    assert answer.json()["status"] == answer.status


async def test_a_folded_field_is_one_value_or_refused(line):
    answer = await line.ask(HEAD + b"X-Request-Id: a\r\n X-Other: b\r\n\r\n")

    assert answer.status == 400 or "x-other" not in answer.headers


async def test_a_full_address_that_names_the_host_is_understood(line):
    answer = await line.ask(b"GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert answer.status == 200


async def test_an_upgrade_that_is_not_offered_is_passed_over(line):
    answer = await line.ask(HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")

    assert answer.status == 200


async def test_a_malformed_request_behind_another_is_not_taken_for_its_answer(line):
    await line.send(
        b"POST /api/v1/predict/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\nnonsense\r\n\r\n"
    )

    async with asyncio.timeout(10):
        assert not (await line.reader.read()).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("method", [b"PUT", b"TRACE", b"PROPFIND"])
async def test_a_method_that_is_not_there_names_those_that_are(line, method):
    answer = await line.ask(method + LIVE[3:])

    assert_problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


async def test_head_is_answered_without_content_on_a_connection_that_goes_on(line):
    got = await line.ask(LIVE)

    await line.send(b"HEAD" + LIVE[3:], LIVE)
    head = await line.reader.readuntil(b"\r\n\r\n")
    after = await line.answer()

    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length: %d\r\n" % len(got.body) in head
    assert (after.status, after.body) == (200, got.body)


async def test_who_dribbles_is_ended_and_nobody_else_stopped(connect):
    silent, honest = await connect(), await connect()
    heads, bodies = [await connect() for _ in range(MANY)], [await connect() for _ in range(MANY)]
    for head, body in zip(heads, bodies, strict=True):
        await head.send(HEAD)
        await body.send(LOGIN + b"Content-Length: 100000\r\n\r\n{")
    slowly = asyncio.create_task(send_at_a_pace(honest))

    assert (await (await connect()).ask(LIVE)).status == 200
    for line in [*heads, *bodies]:
        assert_problem(await line.answer(), 408, "request_too_slow")
        assert await closed(line)
    assert await closed(silent)  # without a word, as it said none
    await slowly
    assert (await honest.answer()).status == 422


async def send_at_a_pace(line: Connection) -> None:
    """Twice as fast as it has to be, for longer than the grace alone would last."""
    body = b'{"email": "' + b"a" * 10_000 + b'"}'
    await line.send(LOGIN + b"Content-Length: %d\r\n\r\n" % len(body))
    for at in range(0, len(body), 500):
        await line.send(body[at : at + 500])
        await asyncio.sleep(0.25)


async def test_who_never_reads_is_thrown_out(port, connect):
    deaf = await Connection.to(port, receive_bytes=4096)
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 16
    deaf.writer.write(asked)
    await asyncio.sleep(0)

    assert (await (await connect()).ask(LIVE)).status == 200
    async with asyncio.timeout(20):
        while not deaf.writer.is_closing():  # it notices by writing
            deaf.writer.write(LIVE)
            await asyncio.sleep(0.1)
    deaf.leave()


async def test_who_sends_thousands_of_requests_at_once_is_answered_the_first_and_thrown_out(line):
    line.writer.write(LIVE * 3000)

    answered = 0
    async with asyncio.timeout(20):
        try:
            while (await line.answer()).status == 200:
                answered += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
    assert answered <= 65  # those that may wait, and the one before them


@pytest.mark.parametrize("path", [b"/api/v1/schedules", b"/api/v1/predict/x"])
async def test_a_body_is_refused_before_it_comes_where_nobody_vouches_for_it(line, path):
    key = b"X-API-Key: my_unknown\r\n"
    head = b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + key + b"Content-Type: application/json\r\n"

    answer = await line.ask(head + b"Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")

    assert answer.status == 401  # and not 100: nothing of the body is asked for


async def test_an_address_holds_no_more_connections_than_it_may_and_gets_them_back(connect):
    lines = [await connect() for _ in range(2 * MANY + 50)]
    for line in lines:
        assert (await line.ask(LIVE)).status == 200

    answer = await (await connect()).answer()
    assert_problem(answer, 503, "too_many_connections")
    assert int(answer.headers["retry-after"]) > 0

    for line in lines:
        line.leave()
    async with asyncio.timeout(10):
        while True:
            try:
                if (await (await connect()).ask(LIVE)).status == 200:
                    return
            except ConnectionError:
                pass
