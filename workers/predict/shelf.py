"""The versions that one worker keeps warm: what is put there, and what has to go."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

import structlog
from redis.asyncio import Redis

from shared.settings import Settings
from workers.predict.batching import Batching, BatchingRules
from workers.predict.redis_clock import RedisClock
from workers.predict.request_queue import RequestQueue
from workers.predict.served_version import ServedVersion
from workers.predict.version_host import VersionHost
from workers.predict.withdrawn import WithdrawnRequests

log = structlog.get_logger()


class Shelf:
    """Holds up to `max_loaded_versions`; to put one more there, the one used longest ago goes."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        clock: RedisClock,
        *,
        worker_id: str,
        withdrawn: WithdrawnRequests,
    ) -> None:
        self._settings, self._redis, self._clock = settings, redis, clock
        self._withdrawn = withdrawn
        self._worker_id = worker_id
        self._served: dict[UUID, ServedVersion] = {}
        self._coming: set[UUID] = set()
        self._degraded: set[UUID] = set()

    def __contains__(self, version_id: UUID) -> bool:
        return version_id in self._served or version_id in self._coming

    def version_ids(self) -> list[UUID]:
        """Those that are held, or are being loaded."""
        return [*self._served, *self._coming]

    async def put(self, host: VersionHost, *, announce: Callable[[], Awaitable[None]]) -> None:
        """Serve a version.

        Args:
            announce: tells others what is held; called before the loading, so that nobody else loads it too.
        """
        version_id = host.artifact.version_id
        self._coming.add(version_id)
        try:
            await announce()
            await self._make_room()
            self._served[version_id] = await self._start(host)
        finally:
            self._coming.discard(version_id)
        log.info("serving", version_id=str(version_id))

    async def drop(self, version_id: UUID) -> None:
        """Let go of a version, once what was taken for it is answered."""
        served = self._served.pop(version_id, None)
        if served is not None:
            log.info("let go", version_id=str(version_id))
            await served.stop()

    async def clear(self) -> None:
        """Let go of all."""
        await asyncio.gather(*(self.drop(version_id) for version_id in list(self._served)))

    async def adopt(self, living: Collection[str]) -> None:
        """Answer what workers that are not among the living had taken."""
        for served in list(self._served.values()):
            await served.adopt(living)

    def of_model(self, model_id: UUID | None) -> list[UUID]:
        """The versions of a model that are held; of all models for None."""
        return [
            version_id
            for version_id, served in self._served.items()
            if model_id in (None, served.host.artifact.model_id)
        ]

    def newly_degraded(self) -> set[UUID]:
        """The versions whose hosts crash again and again, and did not when this was last asked."""
        degraded = {version_id for version_id, served in self._served.items() if served.host.degraded}
        fresh, self._degraded = degraded - self._degraded, degraded
        return fresh

    async def _start(self, host: VersionHost) -> ServedVersion:
        queue = RequestQueue(
            self._redis,
            self._settings.redis_url,
            self._clock,
            version_id=host.artifact.version_id,
            worker_id=self._worker_id,
        )
        served = ServedVersion(host, queue, batching=self._batching(), withdrawn=self._withdrawn)
        await served.start()
        return served

    def _batching(self) -> Batching:
        return Batching(
            BatchingRules(
                max_rows=self._settings.max_batch_rows,
                max_delay_s=0.0,
                call_timeout_s=self._settings.call_timeout_s,
            ),
            usual_call_s=None,
        )

    async def _make_room(self) -> None:
        while self._served and len(self.version_ids()) > self._settings.max_loaded_versions:
            await self.drop(min(self._served, key=lambda version_id: self._served[version_id].last_used))
