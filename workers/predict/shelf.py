"""The versions that one worker keeps warm: what is put there, and what has to go."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from uuid import UUID

import structlog
from redis.asyncio import Redis

from shared.catalog.model_settings import ModelSettings
from shared.errors import TransientError
from shared.predictions.placement import HeldVersion
from shared.settings import Settings
from workers.predict.batching import Batching
from workers.predict.eviction import FIRST_ANSWER_WITHIN_S, victims
from workers.predict.held import Held
from workers.predict.redis_clock import RedisClock
from workers.predict.request_queue import RequestQueue
from workers.predict.served_version import ServedVersion
from workers.predict.version_host import VersionHost
from workers.predict.withdrawn import WithdrawnRequests

log = structlog.get_logger()

ROOM_WITHIN_S = FIRST_ANSWER_WITHIN_S + 1.0  # by then whatever was just loaded may go, too
LOOK_PAUSE_S = 0.05
LEAVING_WITHIN_S = 1.0  # a version that is let go and still computes gives its memory all the same


class NoRoom(TransientError):
    """Every place is taken by versions that may not go."""

    code = "no_room"


class Shelf:
    """Holds as many versions as the settings and the memory allow; the one used longest ago goes first.

    Attributes:
        pinned: versions that stay whatever comes.
        memory_budget_bytes: that all hosts together may have for themselves. A version that is too large
            for what is left is loaded all the same once nothing more may go: estimates are estimates.
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        clock: RedisClock,
        *,
        worker_id: str,
        withdrawn: WithdrawnRequests,
        announce: Callable[[], Awaitable[None]],
    ) -> None:
        self.pinned: Collection[UUID] = frozenset()
        self.memory_budget_bytes = 0
        self._settings, self._redis, self._clock = settings, redis, clock
        self._worker_id, self._withdrawn, self._announce = worker_id, withdrawn, announce
        self._held: dict[UUID, Held] = {}
        self._coming: dict[UUID, int] = {}  # with the bytes that each will need, as far as is known
        self._leaving: dict[UUID, asyncio.Task[None]] = {}
        self._leaving_bytes: dict[UUID, int] = {}
        self._degraded: set[UUID] = set()

    def __contains__(self, version_id: UUID) -> bool:
        return version_id in self._held or version_id in self._coming

    def version_ids(self) -> list[UUID]:
        """Those that are held, or are being loaded."""
        return [*self._held, *self._coming]

    def held(self) -> Mapping[UUID, Held]:
        """Those that answer."""
        return self._held

    def told(self) -> list[HeldVersion]:
        """Those that answer, for others to know."""
        return [held.told() for held in self._held.values()]

    def memory_bytes(self) -> int:
        """What all hosts had for themselves when last measured, and what those to come will need."""
        return sum(held.memory_bytes for held in self._held.values()) + sum(self._coming.values())

    def free_places(self) -> int:
        """Versions that could come without another's leaving."""
        return self._settings.max_loaded_versions - len(self._held) - len(self._coming)

    def has_memory_for(self, size_bytes: int) -> bool:
        """Whether so much more fits into the budget."""
        return self.memory_bytes() + size_bytes <= self.memory_budget_bytes

    async def put(self, host: VersionHost) -> None:
        """Serve a version. A host that is not loaded yet waits for room; one that is takes it.

        Raises:
            NoRoom: nothing may go.
            HostDied, HostTimedOut: it cannot be loaded.
        """
        version_id, awaited = host.artifact.version_id, not host.loaded
        self._coming[version_id] = host.artifact.memory_bytes
        try:
            await self._announce()  # before the loading, so that nobody else loads it too
            await self.drop(version_id)  # an upload that is judged once more, or one that is just leaving
            if awaited:
                await self._find_room()
            self._held[version_id] = Held(await self._start(host), host, awaited=awaited)
        finally:
            del self._coming[version_id]
        await self._evict()
        await self._announce()
        log.info("serving", version_id=str(version_id))

    async def add_host(self, version_id: UUID, host: VersionHost) -> None:
        """Have one more process answer for a version that is held."""
        held = self._held.get(version_id)
        if held is not None:
            await held.add_host(host)
            log.info("host added", version_id=str(version_id), hosts=held.served.hosts)

    async def remove_host(self, version_id: UUID) -> None:
        """Have one process fewer answer for a version; never none."""
        held = self._held.get(version_id)
        if held is not None:
            await held.served.remove_host()
            log.info("host removed", version_id=str(version_id), hosts=held.served.hosts)

    async def drop(self, version_id: UUID) -> None:
        """Let go of a version, once what was taken for it is answered."""
        self._let_go(version_id)
        await self._gone(version_id)

    async def clear(self) -> None:
        """Let go of all."""
        await asyncio.gather(*(self.drop(version_id) for version_id in [*self._held, *self._leaving]))

    async def tidy(self) -> None:
        """Watch and measure, and let go of what is too much: models grow, and uploads come without asking."""
        for held in self._held.values():
            held.watch()
        await asyncio.gather(*(held.measure() for held in list(self._held.values())))
        await self._evict()

    async def follow(self, settings: Mapping[UUID, ModelSettings], *, asked: Collection[UUID]) -> None:
        """Serve as the catalog says.

        Args:
            asked: the versions that the catalog was asked for; those without settings are let go.
        """
        gone = [version_id for version_id in asked if version_id not in settings]
        await asyncio.gather(
            *(self.drop(version_id) for version_id in gone),
            *(held.apply(settings[v]) for v, held in list(self._held.items()) if v in settings),
        )

    async def adopt(self, living: Collection[str]) -> None:
        """Answer what workers that are not among the living had taken."""
        for held in list(self._held.values()):
            await held.served.adopt(living)

    def of_model(self, model_id: UUID | None) -> list[UUID]:
        """The versions of a model that are held; of all models for None."""
        return [
            version_id
            for version_id, held in self._held.items()
            if model_id in (None, held.artifact.model_id)
        ]

    def newly_degraded(self) -> set[UUID]:
        """The versions whose hosts crash again and again, and did not when this was last asked."""
        degraded = {version_id for version_id, held in self._held.items() if held.degraded}
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
        batching = Batching(self._settings, host.artifact.settings, usual_call_s=host.artifact.usual_call_s)
        served = ServedVersion(host, queue, batching=batching, withdrawn=self._withdrawn)
        await served.start()
        return served

    async def _gone(self, version_id: UUID) -> None:
        """Wait until a version that is being let go has left: two must not share its place in the queue."""
        leaving = self._leaving.get(version_id)
        if leaving is not None:
            await asyncio.shield(leaving)

    def _let_go(self, version_id: UUID) -> None:
        held = self._held.pop(version_id, None)
        if held is not None:
            log.info("let go", version_id=str(version_id))
            self._leaving_bytes[version_id] = held.memory_bytes
            self._leaving[version_id] = leaving = asyncio.create_task(held.stop())
            leaving.add_done_callback(lambda task: self._forget(version_id, task))

    def _forget(self, version_id: UUID, left: asyncio.Task[None]) -> None:
        del self._leaving[version_id], self._leaving_bytes[version_id]
        if not left.cancelled() and left.exception() is not None:
            log.warning("did not leave in order", version_id=str(version_id), error=str(left.exception()))

    async def _find_room(self) -> None:
        """Let others go until what comes has its place.

        Those that go answer what they took meanwhile; only their memory is waited for, and not for long.
        """
        deadline = time.monotonic() + ROOM_WITHIN_S
        await self._evict()
        while self.free_places() < 0:
            if time.monotonic() > deadline:
                raise NoRoom("every place on this worker is taken by versions that are pinned")
            await asyncio.sleep(LOOK_PAUSE_S)
            await self._evict()
        if self.memory_bytes() + sum(self._leaving_bytes.values()) > self.memory_budget_bytes:
            await self._some_left()

    async def _some_left(self) -> None:
        leaving = list(self._leaving.values())
        if leaving:
            await asyncio.wait(leaving, timeout=LEAVING_WITHIN_S)

    async def _evict(self) -> None:
        now = time.monotonic()
        standings = [held.standing(pinned=v in self.pinned) for v, held in self._held.items()]
        too_large = self.memory_bytes() - self.memory_budget_bytes
        if len(self._held) + len(self._coming) == 1:
            too_large = 0  # there is nobody to make room for
        going = victims(standings, places=-self.free_places(), memory_bytes=too_large, now=now)
        for version_id in going:
            self._let_go(version_id)
        if going:
            await self._announce()
