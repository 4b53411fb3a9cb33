"""Cached replies in a real Redis."""

import asyncio
import os

import pytest

from api.cache_entry import ENTRY_MAX_BYTES, CacheEntry
from api.prediction_cache import KEY_PREFIX, PredictionCache
from shared.predictions.wire import Failure, Reply

REPLY = Reply(0, {"label": ["setosa"]}, None, 180)


class Cache:
    """The cache, for tests that wait."""

    def __init__(self, cache: PredictionCache) -> None:
        self.cache = cache

    async def look(self, key: bytes) -> CacheEntry | None:
        found: asyncio.Future[CacheEntry | None] = asyncio.get_running_loop().create_future()
        self.cache.look(key, found.set_result)
        async with asyncio.timeout(10):
            return await found

    async def put(self, key: bytes, reply: Reply, *, ttl_ms: int = 60_000) -> bool:
        """Store it, as soon as the cache knows that there is room."""
        async with asyncio.timeout(10):
            while not self.cache.put(os.urandom(16), REPLY, ttl_ms=1000):
                await asyncio.sleep(0.01)
        return self.cache.put(key, reply, ttl_ms=ttl_ms)


@pytest.fixture
async def cache(settings):
    cache = PredictionCache(settings.cache_redis_url)
    await cache.start()
    yield Cache(cache)
    await cache.close()


async def test_what_was_stored_is_found_and_nothing_else(cache, redis):
    known, unknown = os.urandom(16), os.urandom(16)

    assert await cache.put(known, REPLY)
    found, missed = await asyncio.gather(cache.look(known), cache.look(unknown))

    assert found.reply() == REPLY
    assert missed is None
    assert 0 < await redis.pttl(KEY_PREFIX + known) <= 60_000


async def test_an_entry_goes_when_its_time_is_over(cache, redis):
    key = os.urandom(16)

    await cache.put(key, REPLY, ttl_ms=20)
    async with asyncio.timeout(10):
        while await redis.exists(KEY_PREFIX + key):
            await asyncio.sleep(0.01)

    assert await cache.look(key) is None


async def test_what_cannot_be_cached_is_not(cache):
    key = os.urandom(16)
    failed = Reply(0, None, Failure("model_crashed", "it died"))
    large = Reply(0, {"label": ["x" * ENTRY_MAX_BYTES]})

    stored = [await cache.put(key, reply) for reply in (failed, large)]

    assert stored == [False, False]
    assert await cache.look(key) is None


async def test_a_cache_that_does_not_answer_is_an_empty_one(free_port):
    gone = PredictionCache(f"redis://127.0.0.1:{free_port}/0")
    await gone.start()

    found = await Cache(gone).look(os.urandom(16))

    assert (found, gone.put(os.urandom(16), REPLY, ttl_ms=1000)) == (None, False)
    await gone.close()


async def test_a_key_that_holds_something_else_is_a_miss(cache, redis):
    key = os.urandom(16)
    await redis.set(KEY_PREFIX + key, b"something else", ex=60)

    assert await cache.look(key) is None
