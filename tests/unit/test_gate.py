"""Who comes in by which name, scheme and origin, and what every answer carries."""

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient

from api.allowed_hosts import AllowedHosts
from api.connection_guard import ConnectionGuard
from api.cors import Cors
from api.gate import Gate
from api.wire_errors import TooManyConnections
from shared.settings import Settings, SettingsInvalid

SETTINGS = Settings.from_env(
    {
        "DATABASE_URL": "postgresql+asyncpg://localhost/x",
        "REDIS_URL": "redis://localhost",
        "STORAGE_URL": "file:///x",
        "SECRET_KEY": "0123456789abcdef" * 3,
        "PUBLIC_URL": "http://modelyard.test",
    }
)
PRODUCTION = {
    "environment": "production",
    "public_url": "https://models.example.com",
    "trusted_proxies": "10.0.0.0/8",
}
STRANGER, PROXY = "203.0.113.9", "10.0.0.7"
BY_HTTPS = {"X-Forwarded-Proto": "https"}
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


async def app(scope, receive, send):
    """Answers everything, but for what it is asked to fail at."""
    del receive
    if scope["path"] == "/bug":
        raise ZeroDivisionError("hunter2")
    own = {"/tagged": [(b"etag", b'"1"')], "/page": [(b"content-security-policy", b"default-src 'self'")]}
    await send({"type": "http.response.start", "status": 200, "headers": own.get(scope["path"], [])})
    await send({"type": "http.response.body", "body": b"in", "more_body": False})


async def ask(
    path="/x", *, method="GET", peer=STRANGER, url="http://models.example.com", headers=None, **changes
):
    gate = Gate(app, msgspec.structs.replace(SETTINGS, **changes))
    transport = ASGITransport(gate, client=(peer, 5))
    async with AsyncClient(transport=transport, base_url=url) as client:
        return await client.request(method, path, headers=headers)


def assert_refused(answer, status, code):
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code)
    assert body["request_id"] == answer.headers["X-Request-Id"] != ""
    assert HEADERS.items() <= dict(answer.headers).items()


async def test_every_answer_forbids_what_browsers_need_not_do():
    answer = await ask()

    assert HEADERS.items() <= dict(answer.headers).items()
    assert "strict-transport-security" not in answer.headers


async def test_an_answer_with_its_own_policy_or_tag_keeps_it():
    page, tagged = await ask("/page"), await ask("/tagged")

    assert page.headers.get_list("Content-Security-Policy") == ["default-src 'self'"]
    assert "cache-control" not in tagged.headers


async def test_a_fault_outside_the_framework_is_a_problem_that_tells_nothing():
    answer = await ask("/bug")

    assert_refused(answer, 500, "internal_error")
    assert "hunter2" not in answer.text


async def test_a_nul_in_a_path_leads_nowhere():
    assert_refused(await ask("/static/%00"), 404, "route_not_found")


# HTTPS


async def test_in_production_a_reader_without_credentials_is_sent_on_to_the_public_address():
    answer = await ask("/docs?a=%20b", url="http://models.example.com:8000", **PRODUCTION)

    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://models.example.com/docs?a=%20b"
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")


@pytest.mark.parametrize(
    "how",
    [
        {"method": "POST"},
        {"method": "DELETE"},
        {"headers": {"Authorization": "Bearer x"}},
        {"headers": {"X-API-Key": "my_x"}},
    ],
)
async def test_in_production_what_may_have_told_a_secret_is_refused_and_told_so(how):
    answer = await ask(**how, **PRODUCTION)

    assert_refused(answer, 403, "https_required")
    assert "may have been read on the way" in answer.json()["detail"]


async def test_a_proxy_that_is_trusted_says_how_the_client_came():
    assert (await ask(peer=PROXY, headers=BY_HTTPS, **PRODUCTION)).status_code == 200
    assert (await ask(peer=PROXY, headers={"X-Forwarded-Proto": "http"}, **PRODUCTION)).status_code == 308


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        (STRANGER, ["https"]),
        (PROXY, ["https, http"]),
        (PROXY, ["https", "http"]),
        (PROXY, ["httpsx"]),
        (PROXY, [""]),
        (PROXY, ["\xff"]),
    ],
)
async def test_what_a_client_says_of_itself_counts_for_nothing(peer, said):
    headers = [(b"X-Forwarded-Proto", value.encode("latin-1")) for value in said]

    assert (await ask(peer=peer, headers=headers, **PRODUCTION)).status_code == 308


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_neighbours_may_ask_how_the_process_does_by_any_name_unencrypted(path):
    address = "http://10.0.0.3:8000"

    assert (await ask(path, peer="10.0.0.9", url=address, **PRODUCTION)).status_code == 200
    assert (await ask(path, peer="127.0.0.1", url=address, **PRODUCTION)).status_code == 200
    assert (await ask(path, peer=STRANGER, **PRODUCTION)).status_code == 308
    through = {"X-Forwarded-For": "8.8.8.8", "X-Forwarded-Proto": "http"}
    assert (await ask(path, peer=PROXY, headers=through, **PRODUCTION)).status_code == 308


async def test_in_development_nobody_asks_for_https():
    assert (await ask(method="POST")).status_code == 200


# Names


@pytest.mark.parametrize("host", ["models.example.com", "MODELS.example.com:443", "models.example.com:8000"])
async def test_in_production_the_public_name_is_answered(host):
    answer = await ask(url="https://models.example.com", headers={"Host": host}, **PRODUCTION)

    assert answer.status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "models.example.com.evil.example", "", "[::1", "a@b"])
async def test_another_name_is_refused(host):
    answer = await ask(url="https://models.example.com", headers={"Host": host}, **PRODUCTION)

    assert_refused(answer, 421, "host_not_allowed")
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    ("setting", "host", "allowed"),
    [
        ("a.example, b.example", b"b.example:1", True),
        ("a.example", b"models.example.com", False),
        ("::1", b"[::1]:8000", True),
        ("", b"anything", True),
    ],
)
def test_allowed_hosts_are_those_of_the_setting(setting, host, allowed):
    hosts = AllowedHosts(msgspec.structs.replace(SETTINGS, allowed_hosts=setting))

    assert hosts.is_allowed(host) is allowed


# Origins

CORS = {"cors_origins": "https://app.example.com, https://b.example.com/"}
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


async def test_a_page_of_an_allowed_origin_may_ask_and_read():
    origin = {"Origin": "https://app.example.com"}

    before = await ask("/api/v1/models", method="OPTIONS", headers={**origin, **PREFLIGHT}, **CORS)
    answer = await ask("/api/v1/models", headers=origin, **CORS)

    assert (before.status_code, before.content) == (204, b"")
    assert before.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "POST" in before.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in before.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert exposed >= {"ETag", "Location", "RateLimit", "Retry-After", "X-Request-Id"}
    assert answer.headers["Vary"] == "Origin"
    assert "access-control-allow-credentials" not in {**before.headers, **answer.headers}


@pytest.mark.parametrize("origin", ["https://evil.example", "http://app.example.com", "null"])
async def test_a_page_of_another_origin_may_not(origin):
    before = await ask(method="OPTIONS", headers={"Origin": origin, **PREFLIGHT}, **CORS)
    answer = await ask(headers={"Origin": origin}, **CORS)

    assert_refused(before, 403, "origin_not_allowed")
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


async def test_without_the_setting_nothing_is_said_of_origins():
    answer = await ask(headers={"Origin": "https://app.example.com"})

    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_all_origins_get_a_star_and_never_credentials():
    answer = await ask(headers={"Origin": "https://any.example"}, cors_origins="*")

    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("setting", ["app.example.com", "https://app.example.com/path"])
def test_what_is_no_origin_is_told(setting):
    with pytest.raises(SettingsInvalid, match="CORS_ORIGINS"):
        Cors(setting)


# Connections


def test_one_address_cannot_take_the_places_of_all():
    guard = ConnectionGuard(
        msgspec.structs.replace(SETTINGS, max_connections=5, max_connections_per_address=2)
    )
    guard.take(STRANGER)
    guard.take(STRANGER)

    with pytest.raises(TooManyConnections, match="your address holds 2"):
        guard.take(STRANGER)

    guard.take("203.0.113.10")
    guard.give_back(STRANGER)
    guard.take(STRANGER)


def test_a_trusted_proxy_speaks_for_many():
    changes = {"max_connections": 3, "max_connections_per_address": 1, "trusted_proxies": "10.0.0.0/8"}
    guard = ConnectionGuard(msgspec.structs.replace(SETTINGS, **changes))

    for _ in range(3):
        guard.take(PROXY)

    with pytest.raises(TooManyConnections, match="this process holds 3"):
        guard.take(PROXY)
