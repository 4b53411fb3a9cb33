"""Replies that were given lately, so that the same question need not be computed again.

predict:cache:{key}   string   one CacheEntry, packed; api writes; expires with the model's TTL

`key` is the 16 bytes of shared.predictions.cache_key.canonical. A cache that does not answer, is full or
holds something else is as good as an empty one: it never fails a prediction.
"""

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.predictions.wire import Reply

log = structlog.get_logger()

KEY_PREFIX: Final = b"predict:cache:"
ENTRY_MAX_BYTES: Final = 64 * 1024  # a larger reply is many rows, which nobody asks twice
FULL_AT: Final = 0.75  # of the server's memory; the rest is for what must not be lost
LOOK_EVERY_S: Final = 1.0  # at how full the server is

_FORMAT: Final = 1  # of entries; those of another are misses


class CacheEntry(msgspec.Struct, frozen=True, array_like=True):
    """A reply as it is stored.

    Attributes:
        stored_at_ms: since 1970, by the clock of the API process that stored it.
        ttl_ms: how long it is fresh from then on.
        outputs: by name, each a list with an item a row.
        compute_us: what the model took for it.
    """

    format: int
    stored_at_ms: int
    ttl_ms: int
    outputs: dict[str, list[object]]
    compute_us: int = 0

    def age_s(self, now_ms: int) -> int:
        """Whole seconds since it was stored; never negative, whatever the clocks say."""
        return max(now_ms - self.stored_at_ms, 0) // 1000

    def ttl_s(self, now_ms: int) -> int:
        """Whole seconds for which it stays fresh."""
        return max(self.stored_at_ms + self.ttl_ms - now_ms, 0) // 1000

    def reply(self, request_id: int = 0) -> Reply:
        """As a worker would have sent it."""
        return Reply(request_id, self.outputs, None, self.compute_us)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(CacheEntry).decode


def encode_entry(reply: Reply, stored_at_ms: int, *, ttl_ms: int) -> bytes | None:
    """What to store for a reply; None if it is not to be stored: a failure, or too large."""
    if reply.outputs is None:
        return None
    entry = _encode(CacheEntry(_FORMAT, stored_at_ms, ttl_ms, reply.outputs, reply.compute_us))
    return entry if len(entry) <= ENTRY_MAX_BYTES else None


def decode_entry(stored: bytes | None) -> CacheEntry | None:
    """The entry; None for what is none, or one of another release."""
    if stored is None:
        return None
    try:
        entry = _decode(stored)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return entry if entry.format == _FORMAT else None


def redis_key(key: bytes) -> bytes:
    """Where the entry for a question lives."""
    return KEY_PREFIX + key


class PredictionCache:
    """Entries in Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._room = False
        self._look_at = 0.0  # monotonic seconds

    async def get(self, keys: Sequence[bytes]) -> list[CacheEntry | None]:
        """The entries for some questions, None for each that has none."""
        if not keys:
            return []
        try:
            stored: list[Any] = await self._redis.mget([redis_key(key) for key in keys])
        except (RedisError, OSError) as error:
            log.warning("prediction cache unreachable", error=str(error))
            return [None] * len(keys)
        return [decode_entry(entry) for entry in stored]

    async def put(self, key: bytes, reply: Reply, *, ttl_ms: int) -> bool:
        """Store a reply; whether it was."""
        entry = encode_entry(reply, int(time.time() * 1000), ttl_ms=ttl_ms)
        if entry is None or ttl_ms <= 0:
            return False
        try:
            if not await self._has_room():
                return False
            await self._redis.set(redis_key(key), entry, px=ttl_ms)
        except (RedisError, OSError) as error:
            log.warning("prediction not cached", error=str(error))
            return False
        return True

    async def _has_room(self) -> bool:
        """Whether the server has memory left: by default it is the one of requests, and evicts nothing."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            self._room = has_room(await self._redis.info("memory"))
        return self._room


def has_room(memory: dict[str, Any]) -> bool:
    """Whether a server with this `INFO memory` may take more. One that evicts by itself always may."""
    most = int(memory.get("maxmemory", 0))
    if most and memory.get("maxmemory_policy") != "noeviction":
        return True
    most = most or int(memory.get("total_system_memory", 0))
    return not most or int(memory.get("used_memory", 0)) < FULL_AT * most
