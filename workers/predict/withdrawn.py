"""Requests that their callers no longer wait for, as the APIs say: they need not be computed.

Only a hint: what is not heard is computed for nobody.
"""

import asyncio
import time

import structlog
from msgspec import MsgspecError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from shared.background import end_tasks
from shared.messaging.redis_pipe import Answer, RedisPipe, pack
from shared.predictions.keys import WITHDRAWN_CHANNEL
from shared.predictions.wire import decode_withdrawn

log = structlog.get_logger()

KEPT_S = 60.0  # longer than any deadline
MOST_KEPT = 100_000  # of each half of that time: what is forgotten early is computed for nobody
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
        if isinstance(told, ResponseError):
            log.warning("withdrawn requests not heard of", error=str(told))
        elif not isinstance(told, RedisConnectionError) and told[0] == b"message":
            self._note(told[2])

    def _note(self, message: bytes) -> None:
        try:
            withdrawn = decode_withdrawn(message)
        except MsgspecError:  # of another release, or of somebody else
            return
        reply_to = withdrawn.reply_to.encode()
        self._turn()
        self._young.update((reply_to, request_id) for request_id in withdrawn.ids)

    def _turn(self) -> None:
        """Forget what is old enough, or too much."""
        now = time.monotonic()
        if now - self._turned_at > KEPT_S or len(self._young) >= MOST_KEPT:
            self._old, self._young, self._turned_at = self._young, set(), now
