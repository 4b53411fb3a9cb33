"""Requests that their callers no longer wait for, as the APIs say: they need not be computed.

Only a hint: what is not heard is computed for nobody.
"""

import asyncio
import time

from redis.exceptions import ConnectionError as RedisConnectionError

from shared.background import end_tasks
from shared.messaging.redis_pipe import Answer, RedisPipe, pack
from shared.predictions.keys import WITHDRAWN_CHANNEL
from shared.predictions.wire import decode_withdrawn

KEPT_S = 60.0  # longer than any deadline
SILENCE_S = 3600.0  # a channel may be silent


class WithdrawnRequests:
    """Listens, and remembers for a minute."""

    def __init__(self, redis_url: str) -> None:
        self._pipe = RedisPipe(redis_url, silence_s=SILENCE_S)
        self._young: set[tuple[bytes, int]] = set()
        self._old: set[tuple[bytes, int]] = set()
        self._turned_at = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    def __contains__(self, request: tuple[bytes, int]) -> bool:
        """Whether (reply list, id) was withdrawn."""
        return request in self._young or request in self._old

    def __bool__(self) -> bool:
        return bool(self._young or self._old)

    def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._pipe.stay_connected(self._subscribe))

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            await end_tasks(self._task)
        self._pipe.close()

    def _subscribe(self) -> None:
        self._pipe.listen(self._hear)
        self._pipe.post(pack(("SUBSCRIBE", WITHDRAWN_CHANNEL)), (self._hear,))

    def _hear(self, told: Answer) -> None:
        if isinstance(told, RedisConnectionError) or told[0] != b"message":
            return
        if time.monotonic() - self._turned_at > KEPT_S:
            self._old, self._young, self._turned_at = self._young, set(), time.monotonic()
        withdrawn = decode_withdrawn(told[2])
        reply_to = withdrawn.reply_to.encode()
        self._young.update((reply_to, request_id) for request_id in withdrawn.ids)
