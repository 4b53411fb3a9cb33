"""Cached replies in a real Redis."""

import asyncio
import os

from api.prediction_cache import ENTRY_MAX_BYTES, PredictionCache, redis_key
from shared.messaging.redis import connect_redis
from shared.predictions.wire import Failure, Reply

REPLY = Reply(0, {"label": ["setosa"]}, None, 180)


async def test_what_was_stored_is_found_and_nothing_else(redis):
    cache = PredictionCache(redis)
    known, unknown = os.urandom(16), os.urandom(16)

    assert await cache.put(known, REPLY, ttl_ms=60_000)
    found, missed = await cache.get([known, unknown])

    assert found.reply() == REPLY
    assert missed is None
    assert 0 < await redis.pttl(redis_key(known)) <= 60_000


async def test_an_entry_goes_when_its_time_is_over(redis):
    cache, key = PredictionCache(redis), os.urandom(16)

    await cache.put(key, REPLY, ttl_ms=20)
    while await redis.exists(redis_key(key)):
        await asyncio.sleep(0.01)

    assert await cache.get([key]) == [None]


async def test_what_cannot_be_cached_is_not(redis):
    cache, key = PredictionCache(redis), os.urandom(16)
    failed = Reply(0, None, Failure("model_crashed", "it died"))
    large = Reply(0, {"label": ["x" * ENTRY_MAX_BYTES]})

    stored = [await cache.put(key, reply, ttl_ms=1000) for reply in (failed, large)]

    assert stored == [False, False]
    assert not await cache.put(key, REPLY, ttl_ms=0)
    assert await cache.get([key]) == [None]
    assert await cache.get([]) == []


async def test_a_cache_that_does_not_answer_is_an_empty_one(free_port):
    gone = connect_redis(f"redis://127.0.0.1:{free_port}/0", timeout_s=0.5)
    cache, key = PredictionCache(gone), os.urandom(16)

    stored = await cache.put(key, REPLY, ttl_ms=1000)

    assert (stored, await cache.get([key])) == (False, [None])
    await gone.aclose()


async def test_a_key_that_holds_something_else_is_a_miss(redis):
    cache, key = PredictionCache(redis), os.urandom(16)
    await redis.set(redis_key(key), b"something else", ex=60)

    assert await cache.get([key]) == [None]
