"""Listens to a Redis channel while the process lives, and says when something may have been missed."""

import asyncio
from collections.abc import Callable

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.background import end_tasks

log = structlog.get_logger()

_RECONNECT_AFTER_S = 0.5


class Subscriber:
    """One subscription. Messages can be lost: they shorten waits, and decide nothing."""

    def __init__(
        self, redis: Redis, channel: str, *, hear: Callable[[str], None], catch_up: Callable[[], None]
    ) -> None:
        """Prepare; `start` begins.

        Args:
            hear: called with the text of each message.
            catch_up: called whenever listening has begun: what was said before then is unknown.
        """
        self._redis, self._channel = redis, channel
        self._hear, self._catch_up = hear, catch_up
        self._reader: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._reader = asyncio.create_task(self._read(), name=f"{self._channel} news")

    async def close(self) -> None:
        """Stop listening."""
        if self._reader is not None:
            await end_tasks(self._reader)

    async def _read(self) -> None:
        while True:
            try:
                await self._follow()
            except (RedisError, OSError) as error:
                log.warning("news interrupted", channel=self._channel, error=str(error))
                await asyncio.sleep(_RECONNECT_AFTER_S)

    async def _follow(self) -> None:
        async with self._redis.pubsub() as channel:
            await channel.subscribe(self._channel)
            while True:
                message = await channel.get_message(timeout=30)
                if message is None:
                    continue
                # Redis confirms each subscription: also those that the client renews by itself, without
                # an error, after its connection broke.
                if message["type"] == "subscribe":
                    self._catch_up()
                elif message["type"] == "message":
                    self._hear(message["data"].decode())
