"""Tells the other processes, about once a second, what this one has counted."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from uuid import uuid4

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.background import end_tasks
from shared.metrics.exchange import Exchange, Snapshot
from shared.metrics.family import Family, bounded
from shared.metrics.process import ProcessMetrics
from shared.metrics.registry import registry

log = structlog.get_logger()

PUBLISH_S: Final = 1.0


class MetricsPublisher:
    """Publishes the metrics of this process while it runs.

    Args:
        kind: the Procfile entry.
        sources: of further families, asked at each snapshot on the event loop.
    """

    def __init__(
        self, redis: Redis, kind: str, *, sources: Iterable[Callable[[], Iterable[Family]]] = ()
    ) -> None:
        self.process_id = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._kind = kind
        self._exchange = Exchange(redis)
        self._own = ProcessMetrics(kind)
        self._sources = [registry.families, self._own.families, *sources]
        self._publishing: asyncio.Task[None] | None = None
        self._silent = False

    async def start(self) -> None:
        """Begin to publish."""
        self._publishing = asyncio.create_task(self._publish_for_ever())

    async def close(self) -> None:
        """Publish once more, and leave."""
        if self._publishing is not None:
            await end_tasks(self._publishing)
        await self._unless_unreachable(self._exchange.leave)

    async def publish(self) -> None:
        """Publish what there is now. A Redis that is away gets it the next time."""
        await self._unless_unreachable(self._exchange.publish)

    def snapshot(self) -> Snapshot:
        """What this process has counted until now."""
        return Snapshot(
            kind=self._kind,
            process=self.process_id,
            at_ms=int(time.time() * 1000),
            families=[bounded(family) for source in self._sources for family in source()],
        )

    async def _publish_for_ever(self) -> None:
        while True:
            await self.publish()
            slept_from = time.monotonic()
            await asyncio.sleep(PUBLISH_S)
            self._own.lag_s = max(0.0, time.monotonic() - slept_from - PUBLISH_S)

    async def _unless_unreachable(self, send: Callable[[Snapshot], Awaitable[None]]) -> None:
        try:
            await send(self.snapshot())
        except (RedisError, OSError) as error:
            if not self._silent:
                log.warning("metrics wait for redis", error=str(error))
            self._silent = True
        else:
            self._silent = False
