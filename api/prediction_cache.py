"""Replies that were given lately, so that the same question need not be computed again.

predict:cache:{key}   string   one CacheEntry, packed; api writes; expires with the model's TTL

`key` is the 16 bytes of shared.predictions.cache_key.canonical. A cache that does not answer, is full or
holds something else is as good as an empty one: it never fails a prediction.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from api.cache_entry import CacheEntry, decode_entry, encode_entry
from shared.background import end_tasks
from shared.messaging.redis_pipe import RedisPipe, pack
from shared.predictions.wire import Reply

log = structlog.get_logger()

KEY_PREFIX: Final = b"predict:cache:"
PATIENCE_S: Final = 0.05  # with a cache that does not answer: computing is quicker
SILENCE_S: Final = 2.0  # without an answer for so long, its connection is taken for dead
FULL_AT: Final = 0.75  # of the server's memory; the rest is for what must not be lost
LOOK_EVERY_S: Final = 1.0  # at how full the server is

OnFound = Callable[[CacheEntry | None], None]


class _Look:
    """Somebody who wants an entry, and is told once."""

    __slots__ = ("key", "on_found")

    def __init__(self, key: bytes, on_found: OnFound) -> None:
        self.key = key
        self.on_found: OnFound | None = on_found

    def tell(self, stored: bytes | None) -> None:
        on_found, self.on_found = self.on_found, None
        if on_found is not None:
            on_found(decode_entry(stored))


class PredictionCache:
    """Entries in Redis. Those that are looked for in one turn of the event loop are asked for together."""

    def __init__(self, redis_url: str) -> None:
        self._pipe = RedisPipe(redis_url, silence_s=SILENCE_S)
        self._looks: list[_Look] = []
        self._has_room = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect, and stay connected."""
        self._tasks = [
            asyncio.create_task(self._pipe.stay_connected(lambda: None)),
            asyncio.create_task(self._watch_room()),
        ]

    async def close(self) -> None:
        """Let go of the connection."""
        await end_tasks(*self._tasks)
        self._pipe.close()

    def look(self, key: bytes, on_found: OnFound) -> None:
        """Look for the entry of a question; the callback gets it, or None, within a moment."""
        if not self._looks:
            asyncio.get_running_loop().call_soon(self._ask)
        self._looks.append(_Look(key, on_found))

    def put(self, key: bytes, reply: Reply, *, ttl_ms: int) -> bool:
        """Store a reply, and say whether it will be."""
        if not self._has_room or not self._pipe.connected:
            return False
        entry = encode_entry(reply, int(time.time() * 1000), ttl_ms=ttl_ms)
        if entry is None:
            return False
        self._pipe.post(pack(("SET", KEY_PREFIX + key, entry, "PX", ttl_ms)), (_ignore,))
        return True

    def _ask(self) -> None:
        looks, self._looks = self._looks, []
        if not self._pipe.connected:
            _tell_none(looks)
            return
        timer = asyncio.get_running_loop().call_later(PATIENCE_S, _tell_none, looks)
        keys = [KEY_PREFIX + look.key for look in looks]
        self._pipe.post(pack(("MGET", *keys)), (lambda told: _hand_out(looks, told, timer),))

    async def _watch_room(self) -> None:
        """By default the server is that of the requests, which evicts nothing: leave it memory."""
        while True:
            if self._pipe.connected:
                self._pipe.post(pack(("INFO", "memory")), (self._note_room,))
            await asyncio.sleep(LOOK_EVERY_S)

    def _note_room(self, told: Any) -> None:
        if isinstance(told, bytes):
            lines = (line.partition(":") for line in told.decode().splitlines())
            self._has_room = has_room({name: value for name, _, value in lines})


def _hand_out(looks: list[_Look], told: Any, timer: asyncio.TimerHandle) -> None:
    timer.cancel()
    if isinstance(told, Exception):
        _tell_none(looks)
        return
    for look, stored in zip(looks, told, strict=True):
        look.tell(stored)


def _tell_none(looks: list[_Look]) -> None:
    for look in looks:
        look.tell(None)


def _ignore(told: Any) -> None:
    if isinstance(told, Exception):
        log.debug("prediction not cached", error=str(told))


def has_room(memory: dict[str, str]) -> bool:
    """Whether a server with this `INFO memory` may take more. One that evicts by itself always may."""
    most = int(memory.get("maxmemory", 0))
    if most and memory.get("maxmemory_policy") != "noeviction":
        return True
    most = most or int(memory.get("total_system_memory", 0))
    return not most or int(memory.get("used_memory", 0)) < FULL_AT * most
