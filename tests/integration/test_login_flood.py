"""Log-ins beyond those whose passwords can be checked soon: refused at the door, nobody else with them."""

import asyncio
import threading

import pytest

from shared.access import passwords
from shared.access.passwords import MOST_AT_ONCE

LOGIN, REGISTER = "/api/v1/auth/login", "/api/v1/auth/register"
ACCOUNT = {"email": "ada@example.com", "password": "a password of hers"}


@pytest.fixture
async def full(app, monkeypatch):
    """As many passwords as may be are being checked, and none gets done."""
    released = threading.Event()
    monkeypatch.setattr(passwords.bcrypt, "checkpw", lambda *_: released.wait(10))
    hasher = app.state.passwords
    checks = [hasher.matches("a", None) for _ in range(MOST_AT_ONCE)]
    tasks = [asyncio.create_task(check) for check in checks]
    await asyncio.sleep(0)
    yield
    released.set()
    await asyncio.gather(*tasks)


async def test_who_finds_no_room_is_told_so_before_anything_is_counted(client, redis, full):  # noqa: ARG001
    answers = [await client.post(path, json=ACCOUNT) for path in (LOGIN, REGISTER)]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "passwords_busy")
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert await redis.keys("limit:login*") == []


async def test_all_else_goes_on(client, account, full):  # noqa: ARG001
    refreshed = await client.post("/api/v1/auth/refresh", json={"refresh_token": "x" * 43})
    asked = await client.get("/api/v1/auth/me", headers=account.headers)

    assert (refreshed.status_code, refreshed.json()["code"]) == (401, "invalid_refresh_token")
    assert asked.status_code == 200
