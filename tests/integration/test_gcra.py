"""The rate algorithm in a real Redis, with a clock that the test sets."""

import pytest

from shared.limits.gcra import NOW_US_LUA, TAKE_LUA

NOW_US = 1_800_000_000_000_001  # a time of 2027, whose last digit must not be lost

# A limit of 3 at once, and one more each second.
TAKE = TAKE_LUA + "return {take(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), 3, 1000000)}"

# One of three until midnight.
TAKE_OF_DAY = TAKE_LUA + "return {take(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), '3', '0')}"
LEFT_US = 57_599_999_999  # from NOW_US, which is eight o'clock in UTC, until midnight


@pytest.fixture
def take_of_day(redis):
    async def taken(wanted: int, *, after_us: int = 0) -> tuple[int, ...]:
        return tuple(await redis.eval(TAKE_OF_DAY, 1, "limit:test:day", NOW_US + after_us, wanted))

    return taken


async def test_of_a_day_as_many_are_granted_as_it_has_and_none_before_midnight(take_of_day):
    assert await take_of_day(2) == (2, 1, LEFT_US, 0)
    assert await take_of_day(0) == (0, 1, LEFT_US, 0)
    assert await take_of_day(2) == (1, 0, LEFT_US, LEFT_US)
    assert await take_of_day(1, after_us=LEFT_US - 1) == (0, 0, 1, 1)


async def test_what_a_day_has_counted_ends_at_midnight(redis, take_of_day):
    await take_of_day(3)

    assert await redis.expiretime("limit:test:day") == (NOW_US + LEFT_US) // 1_000_000


@pytest.fixture
def take(redis):
    async def taken(wanted: int, *, after_us: int = 0) -> tuple[int, ...]:
        return tuple(await redis.eval(TAKE, 1, "limit:test:somebody", NOW_US + after_us, wanted))

    return taken


async def test_a_burst_fits_and_no_more(take):
    answers = [await take(1) for _ in range(4)]

    assert answers == [
        (1, 2, 1_000_000, 0),
        (1, 1, 2_000_000, 0),
        (1, 0, 3_000_000, 0),
        (0, 0, 3_000_000, 1_000_000),
    ]


async def test_as_many_are_granted_as_fit(take):
    assert await take(5) == (3, 0, 3_000_000, 1_000_000)


async def test_one_more_fits_after_each_interval_to_the_microsecond(take):
    await take(3)

    assert await take(1, after_us=999_999) == (0, 0, 2_000_001, 1)
    assert await take(1, after_us=1_000_000) == (1, 0, 3_000_000, 0)
    assert await take(1, after_us=1_000_000) == (0, 0, 3_000_000, 1_000_000)


async def test_a_limit_never_holds_more_than_its_burst(take):
    await take(1)

    assert await take(9, after_us=3600 * 1_000_000) == (3, 0, 3_000_000, 1_000_000)


async def test_looking_takes_nothing_and_writes_nothing(take, redis):
    assert await take(0) == (0, 3, 0, 0)
    assert await redis.keys() == []


async def test_the_key_goes_when_the_limit_is_full_again(take, redis):
    await take(2)

    assert await redis.get("limit:test:somebody") == str(NOW_US + 2_000_000).encode()
    assert 0 < await redis.pttl("limit:test:somebody") <= 2_000


async def test_a_clock_set_back_locks_nobody_out(take):
    await take(3, after_us=3600 * 1_000_000)

    assert await take(1) == (0, 0, 3_000_000, 1_000_000)


async def test_the_time_is_that_of_redis(redis):
    seconds, _ = await redis.time()

    now_us = await redis.eval(NOW_US_LUA + "return now_us", 0)

    assert seconds <= now_us // 1_000_000 <= seconds + 60
