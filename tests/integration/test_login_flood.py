"""Log-ins beyond those whose passwords can be checked soon: refused at the door, nobody else with them."""

import asyncio
import threading

import bcrypt
import msgspec
import pytest
from sqlalchemy import update

from shared.access import passwords
from shared.access.known_networks import NETWORKS_MAX, KnownNetworks
from shared.access.password_queue import MOST_AT_ONCE
from shared.access.session_tables import RefreshToken
from shared.access.tables import User
from shared.access.tokens import refresh_token_hash
from tests.fixtures.sessions import add_session

LOGIN, REGISTER, REFRESH = "/api/v1/auth/login", "/api/v1/auth/register", "/api/v1/auth/refresh"
PASSWORD, REFRESH_TOKEN = "a password of hers", "r" * 43
ACCOUNT = {"email": "ada@example.com", "password": PASSWORD}
HOME, ELSEWHERE, FLOODING = "192.0.2.1", "198.51.100.7", "203.0.113.9"
IN, BUSY = (200, None), (503, "passwords_busy")


@pytest.fixture
def settings(settings):
    """Tests come from where they say, and as often as they like."""
    limits = {"login_per_minute": 0, "login_address_per_minute": 0, "rate_limit_timeout_s": 10.0}
    return msgspec.structs.replace(settings, trusted_proxies="127.0.0.0/8", **limits)


@pytest.fixture
def released(monkeypatch):
    """No password is checked before this is set; then those of no account fail at once."""
    released, check = threading.Event(), bcrypt.checkpw

    def checked(given, expected):
        released.wait(5)
        return expected.startswith(b"$2b$04") and check(given, expected)

    monkeypatch.setattr(passwords.bcrypt, "checkpw", checked)
    yield released
    released.set()


@pytest.fixture
async def full(app, released):
    """As many passwords as may be are being checked, and none gets done."""
    hasher = app.state.passwords
    checks = [hasher.matches("a", None, address=f"10.0.{n}.1", reserved=True) for n in range(MOST_AT_ONCE)]
    tasks = [asyncio.create_task(check) for check in checks]
    await asyncio.sleep(0)
    yield
    released.set()
    await asyncio.gather(*tasks)


@pytest.fixture
async def ada(account, database):
    """An account with a password, and a session whose refresh token is REFRESH_TOKEN."""
    quick = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    async with database.transaction() as session:
        session_id = await add_session(session, account.user_id)
        await session.execute(update(User).where(User.id == account.user_id).values(password_hash=quick))
        session.add(RefreshToken(session_id=session_id, token_hash=refresh_token_hash(REFRESH_TOKEN)))
    return account


@pytest.fixture
def log_in(client):
    """Logs somebody in from an address, and tells how it went."""

    async def send(email, address, password=PASSWORD):
        body = {"email": email, "password": password}
        answer = await client.post(LOGIN, json=body, headers={"X-Forwarded-For": address})
        return answer.status_code, answer.json().get("code")

    return send


@pytest.fixture
async def flood(app, log_in, released):
    """Wrong passwords from so many addresses that none is taken on; what became of those that were."""
    tasks = []

    async def send(*addresses):
        while app.state.passwords.has_room(addresses[0]):
            number = len(tasks)
            wrong = log_in(f"victim{number}@example.com", addresses[number % len(addresses)])
            tasks.append(asyncio.create_task(wrong))
            await asyncio.sleep(0.01)

    yield send
    released.set()
    assert {await task for task in tasks} <= {(401, "wrong_credentials"), BUSY}


async def let_in(released, attempt):
    """What comes of an attempt that is made while all wait, once they are checked."""
    task = asyncio.create_task(attempt)
    await asyncio.wait([task], timeout=0.3)  # or it is refused
    released.set()
    return await task


async def test_who_finds_no_room_is_told_so_before_anything_is_counted(client, redis, full):  # noqa: ARG001
    answers = [await client.post(path, json=ACCOUNT) for path in (LOGIN, REGISTER)]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == BUSY
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert await redis.keys("limit:login*") == []


async def test_all_else_goes_on(client, account, full):  # noqa: ARG001
    refreshed = await client.post(REFRESH, json={"refresh_token": "x" * 43})
    asked = await client.get("/api/v1/auth/me", headers=account.headers)

    assert (refreshed.status_code, refreshed.json()["code"]) == (401, "invalid_refresh_token")
    assert asked.status_code == 200


async def test_a_flood_of_one_address_keeps_nobody_else_out(ada, *, log_in, flood, released):
    await flood(FLOODING)

    again = await log_in("victim@example.com", FLOODING)
    outcome = await let_in(released, log_in(ada.email, ELSEWHERE))

    assert (again, outcome) == (BUSY, IN)


async def test_a_flood_of_a_block_keeps_nobody_else_out(ada, *, log_in, flood, released):
    await flood(*(f"203.0.113.{number}" for number in range(100)))

    assert await let_in(released, log_in(ada.email, ELSEWHERE)) == IN


async def test_of_a_flood_from_everywhere_known_ones_notice_nothing(client, ada, *, log_in, flood, released):
    from_home = {"X-Forwarded-For": HOME}
    renewed = await client.post(REFRESH, json={"refresh_token": REFRESH_TOKEN}, headers=from_home)
    await flood(*(f"10.0.{number}.1" for number in range(100)))

    refused = [
        await log_in(email, address)
        for email in (ada.email, "nobody@example.com")
        for address in (ELSEWHERE, "10.1.1.1")
    ]
    nobody = await log_in("nobody@example.com", HOME)
    outcome = await let_in(released, log_in(f" {ada.email.upper()}", HOME))

    assert renewed.status_code == 200
    assert (refused, nobody, outcome) == ([BUSY] * 4, BUSY, IN)


async def test_a_log_in_makes_a_network_known_and_a_wrong_password_does_not(app, ada, *, log_in, released):
    released.set()

    outcomes = [await log_in(ada.email, HOME), await log_in(ada.email, ELSEWHERE, "a wrong one")]

    knows = app.state.known_networks.knows
    assert outcomes == [IN, (401, "wrong_credentials")]
    assert [await knows(ada.email, address) for address in (HOME, ELSEWHERE, "")] == [True, False, False]


async def test_what_is_no_log_in_finds_no_room_either(client, flood):
    bodies = [b"", b"{", b"[" * 5_000, b'{"email": 1}', b'{"email": "' + b"a" * 400 + b'"}', b" " * 20_000]
    await flood(*(f"10.0.{number}.1" for number in range(100)))

    answers = [await client.post(LOGIN, content=body) for body in bodies]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [BUSY] * len(bodies)


async def test_an_account_is_known_from_the_networks_that_it_used_last(redis):
    known = KnownNetworks(redis, "a secret", timeout_s=5)
    addresses = [f"2001:db8:0:{number:x}::1" for number in range(NETWORKS_MAX + 1)]

    for address in addresses:
        await known.remember("ada@example.com", address)

    found = await asyncio.gather(*(known.knows("ADA@example.com", address) for address in addresses))
    same_network = await known.knows("ada@example.com", addresses[-1] + "23")
    (key,) = await redis.keys()
    assert found == [False] + [True] * NETWORKS_MAX
    assert same_network
    assert await redis.zcard(key) == NETWORKS_MAX
    assert 29 * 24 * 3600 < await redis.ttl(key) <= 30 * 24 * 3600
    assert b"ada" not in key
    assert not await KnownNetworks(redis, "another", timeout_s=5).knows("ada@example.com", addresses[-1])
