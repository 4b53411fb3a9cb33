"""Who guesses passwords waits; nobody else does. Redis's clock is not waited for: times are moved back."""

import asyncio

import pytest
from redis.asyncio import Redis
from sqlalchemy import update

from shared.access.login_delays import FREE, FREE_OF_ALL, LoginDelayed, LoginDelays
from shared.access.passwords import _NOBODY
from shared.access.tables import User
from shared.errors import Unavailable

ADA, HERE, THERE = "ada@example.com", "192.0.2.1", "198.51.100.7"


@pytest.fixture
def delays(redis) -> LoginDelays:
    return LoginDelays(redis, timeout_s=5)


@pytest.fixture
def wait(redis):
    """As if so many seconds had gone by."""

    async def wait(seconds: float) -> None:
        for key in await redis.keys("login:*:*"):
            await redis.hincrby(key, "at_ms", -round(seconds * 1000))

    return wait


async def fail(delays: LoginDelays, count: int = 1, *, email: str = ADA, address: str = HERE) -> None:
    for _ in range(count):
        await delays.begin(email, address)


async def refused_for(delays: LoginDelays, *, email: str = ADA, address: str = HERE) -> int:
    with pytest.raises(LoginDelayed) as refused:
        await delays.begin(email, address)
    return refused.value.retry_after_s


async def test_after_five_failures_each_costs_twice_the_last_up_to_a_minute(delays, wait):
    await fail(delays, FREE + 1)
    waits = []

    for _ in range(8):
        waits.append(await refused_for(delays))
        await wait(waits[-1])
        await fail(delays)

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_a_success_forgets_the_failures(delays):
    await fail(delays, FREE + 1)

    await delays.succeed(ADA, HERE)

    await fail(delays, FREE + 1)


async def test_the_owner_gets_in_from_elsewhere_while_others_guess(delays):
    for number in range(3 * FREE_OF_ALL):
        await fail(delays, address=f"203.0.113.{number}")

    await fail(delays, address=THERE)  # a first try, which is not refused

    assert await refused_for(delays, address="203.0.113.1") <= 15


async def test_many_addresses_together_leave_each_fewer_tries(delays, wait):
    for number in range(FREE_OF_ALL):
        await fail(delays, address=f"203.0.113.{number}")
    await fail(delays, address=HERE)

    first = await refused_for(delays)
    await wait(first)
    await fail(delays)

    assert (first, await refused_for(delays)) == (1, 2)


async def test_one_account_is_one_in_every_spelling_and_another_is_not_held_up(delays):
    await fail(delays, FREE)
    await fail(delays, email=" ADA@Example.com ")

    assert await refused_for(delays) == 1
    await fail(delays, email="bob@example.com")


async def test_an_address_of_ipv6_is_its_whole_network(delays):
    for number in range(FREE + 1):
        await fail(delays, address=f"2001:db8:0:1::{number}")

    assert await refused_for(delays, address="2001:db8:0:1:ffff::1") == 1
    await fail(delays, address="2001:db8:0:2::1")


async def test_of_many_tries_at_once_only_as_many_pass_as_may(delays):
    answers = await asyncio.gather(*(delays.begin(ADA, HERE) for _ in range(30)), return_exceptions=True)

    assert sum(answer is None for answer in answers) == FREE + 1


async def test_without_redis_nobody_guesses():
    away = Redis(host="127.0.0.1", port=1)
    delays = LoginDelays(away, timeout_s=0.1)

    with pytest.raises(Unavailable):
        await delays.begin(ADA, HERE)

    await delays.succeed(ADA, HERE)
    await away.aclose()


async def test_the_keys_tell_nobodys_address_and_expire(delays, redis):
    await fail(delays)
    await fail(delays, email="x" * 320)

    keys = [key.decode() for key in await redis.keys()]
    assert len(keys) == 4
    assert not any("example" in key or len(key) > 100 for key in keys)
    assert all([0 < await redis.ttl(key) <= 3600 for key in keys])


async def test_an_account_and_none_are_delayed_alike(client, account, *, delays, database, redis, wait):
    async with database.transaction() as session:  # a password that nobody knows
        await session.execute(update(User).values(password_hash=_NOBODY))

    async def answers(email: str) -> list[tuple[int, str]]:
        await fail(delays, FREE, email=email, address="127.0.0.1")
        for key in await redis.keys("login:*:*"):
            await redis.hincrby(key, "failures", 5)
        await wait(60)
        body = {"email": email, "password": "a wrong one"}
        found = [await client.post("/api/v1/auth/login", json=body) for _ in range(2)]
        return [(answer.status_code, answer.json()["code"]) for answer in found]

    known, unknown = await answers(account.email), await answers("nobody@example.com")

    assert known == unknown == [(401, "wrong_credentials"), (429, "login_delayed")]
