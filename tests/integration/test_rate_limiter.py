"""The limiter on a real Redis: exact over processes, and harmless when Redis is not there."""

import asyncio
import subprocess
import sys

import pytest
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from shared.errors import Unavailable
from shared.limits.limiter import RateLimiter
from shared.limits.policy import Limit
from shared.messaging.redis import connect_redis
from tests.fixtures.platform import find_free_port
from tests.fixtures.processes import ROOT

HOUR_US = 3600 * 1_000_000  # so long an interval that nothing comes back during a test
TWO = Limit("two", "limit:two:somebody", 2, HOUR_US, 7200)
THREE = Limit("three", "limit:three:somebody", 3, HOUR_US, 10_800)


@pytest.fixture
async def limiter(redis):
    limiter = RateLimiter(redis, timeout_s=10)
    yield limiter
    await limiter.close()


@pytest.fixture
async def limiter_without_redis():
    redis = connect_redis(f"redis://127.0.0.1:{find_free_port()}")
    limiter = RateLimiter(redis, timeout_s=10)
    yield limiter
    await limiter.close()
    await redis.aclose()


def left(decision):
    return {standing.limit.name: standing.remaining for standing in decision.standings}


async def test_what_is_let_through_and_what_is_left(limiter):
    decisions = [await limiter.take((TWO,)) for _ in range(3)]

    assert [(each.allowed, left(each)["two"]) for each in decisions] == [(True, 1), (True, 0), (False, 0)]
    assert decisions[0].retry_us == 0
    assert HOUR_US - 60_000_000 < decisions[2].retry_us <= HOUR_US


async def test_a_request_is_counted_against_all_limits_or_none(limiter):
    for _ in range(3):
        await limiter.take((TWO,))

    refused = await limiter.take((TWO, THREE))

    assert not refused.allowed
    assert left(refused) == {"two": 0, "three": 3}
    assert left(await limiter.take((THREE,))) == {"three": 2}


async def test_a_request_may_count_as_several(limiter):
    first = await limiter.take((THREE,), cost=2)
    second = await limiter.take((THREE,), cost=2)
    third = await limiter.take((THREE,), cost=1)

    assert [first.allowed, second.allowed, third.allowed] == [True, False, True]
    assert 0 < second.retry_us <= HOUR_US


async def test_requests_that_come_together_are_counted_one_by_one(limiter):
    decisions = await asyncio.gather(*(limiter.take((TWO, THREE)) for _ in range(1000)))

    assert [each.allowed for each in decisions] == [True, True] + [False] * 998


async def test_a_client_that_leaves_disturbs_nobody(limiter):
    leaving = asyncio.create_task(limiter.take((THREE,)))
    staying = asyncio.create_task(limiter.take((THREE,)))
    await asyncio.sleep(0)
    leaving.cancel()

    assert (await staying).allowed


async def test_without_limits_nobody_is_asked(limiter_without_redis):
    decision = await limiter_without_redis.take((), fail_closed=True)

    assert (decision.allowed, decision.standings) == (True, ())


async def test_four_processes_together_let_through_what_the_limit_says(redis, redis_url):
    command = [sys.executable, "-m", "tests.fixtures.hammer", redis_url, "50"]
    processes = [
        await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(4)
    ]
    async with asyncio.timeout(60):
        while int(await redis.get("hammer:ready") or 0) < 4:
            await asyncio.sleep(0.01)
    await redis.set("hammer:go", 1)

    printed = [(await process.communicate())[0] for process in processes]

    assert sum(int(each) for each in printed) == 20


async def test_requests_pass_uncounted_while_redis_is_away(limiter_without_redis):
    decisions = [await limiter_without_redis.take((TWO,)) for _ in range(5)]

    assert all(decision.allowed and decision.standings == () for decision in decisions)
    assert limiter_without_redis.failed_open == 5


async def test_requests_that_guess_passwords_do_not(limiter_without_redis):
    with pytest.raises(Unavailable):
        await limiter_without_redis.take((TWO,), fail_closed=True)

    assert limiter_without_redis.failed_open == 0


async def test_a_redis_that_does_not_answer_holds_nobody_up_for_long(redis):
    impatient = RateLimiter(redis, timeout_s=0.05)
    await impatient.take((THREE,))
    await redis.execute_command("CLIENT", "PAUSE", 600_000, "WRITE")
    try:
        async with asyncio.timeout(30):
            decision = await impatient.take((THREE,))
    finally:
        await redis.execute_command("CLIENT", "UNPAUSE")
    after = await RateLimiter(redis, timeout_s=10).take((THREE,))

    assert (decision.allowed, decision.standings, impatient.failed_open) == (True, (), 1)
    assert left(after) in ({"three": 1}, {"three": 0})  # what was sent may be counted after all


async def test_an_outage_is_told_once(redis_url):
    redis = connect_redis(redis_url)
    limiter = RateLimiter(redis, timeout_s=10)
    broken = limiter._script

    async def fails(*_):
        raise RedisError("gone")

    with capture_logs() as told:
        limiter._script = fails
        for _ in range(3):
            await limiter.take((THREE,))
        limiter._script = broken
        await limiter.take((THREE,))

    assert [(entry["event"], entry["log_level"]) for entry in told] == [
        ("requests are not counted", "warning"),
        ("requests are counted again", "info"),
    ]
    await limiter.close()
    await redis.aclose()
