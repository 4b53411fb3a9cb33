"""Which versions this worker holds, and with how many hosts: looked at anew at each heartbeat.

There is no coordinator: every worker sees the same heartbeats and comes to the same conclusion about
who is to act (sharing.py). Where two views differ for a moment, a host too many is started, and leaves
when it finds itself idle.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

from redis.asyncio import Redis

from shared.predictions.placement import WishesForMore, WorkerState
from shared.settings import Settings
from workers.predict.held import Held
from workers.predict.machine import IdleCores, cores
from workers.predict.scaling import Bounds, Load, Step
from workers.predict.sharing import hosts_elsewhere, missing_here, yields
from workers.predict.shelf import Shelf

KEPT_FREE = 1  # places that pins never take, so that other versions can still be loaded

Errand = Callable[[UUID], Awaitable[None]]
Begin = Callable[[Errand, UUID], None]


class Placement:
    """Decides for one worker; what is decided is done in the background.

    Attributes:
        pins: how many hosts must hold each version, over all workers.
    """

    def __init__(
        self, settings: Settings, shelf: Shelf, redis: Redis, *, begin: Begin, load: Errand, add_host: Errand
    ) -> None:
        self.pins: Mapping[UUID, int] = {}
        self._settings, self._shelf = settings, shelf
        self._begin, self._load, self._add_host = begin, load, add_host
        self._wishes = WishesForMore(redis)
        self._idle_cores = IdleCores()
        self._changing: set[UUID] = set()  # one change of a version at a time

    def room_for_pins(self) -> int:
        """Versions that this worker could still hold for good."""
        free = self._settings.max_loaded_versions - KEPT_FREE - len(self._pinned_here())
        return max(0, free) if self._pinned_bytes() < self._shelf.memory_budget_bytes else 0

    async def tend(self, living: Sequence[WorkerState], *, me: str) -> None:
        """Look at every version once.

        Args:
            living: the newest state of every worker, this one included.
            me: the id of this worker.
        """
        idle_cores = self._idle_cores.measure() >= self._settings.idle_cores_for_host
        self._shelf.pinned = frozenset(self.pins)
        for version_id in missing_here(self.pins, living, me):
            self._change(self._hold, version_id)
        wished = [
            version_id
            for version_id, held in list(self._shelf.held().items())
            if self._tend_one(version_id, held, living, me=me, idle_cores=idle_cores) is Step.ASK
        ]
        await self._wishes.ask(wished)
        if idle_cores:
            await self._take_wish()

    def _tend_one(
        self, version_id: UUID, held: Held, living: Sequence[WorkerState], *, me: str, idle_cores: bool
    ) -> Step | None:
        load = Load(
            busy=held.served.busy,
            waiting_rows=held.served.waiting_rows,
            hosts=held.hosts,
            elsewhere=hosts_elsewhere(version_id, living, me),
        )
        bounds = Bounds(
            least=self.pins.get(version_id, 0),
            most=held.artifact.settings.max_replicas,
            room=idle_cores and self._has_room_for_host(held),
            yields=yields(version_id, living, me),
        )
        step = held.scaling.next_step(load, bounds, now=time.monotonic())
        errands = {
            Step.ADD: self._add_host,
            Step.REMOVE: self._shelf.remove_host,
            Step.LEAVE: self._shelf.drop,
        }
        if step in errands:
            self._change(errands[step], version_id)
        return step

    async def _take_wish(self) -> None:
        """Hold what other workers cannot answer alone, where that costs nobody a place."""
        if self._shelf.free_places() > 0 and self._shelf.has_memory_for(1):
            version_id = await self._wishes.take(held=self._shelf.version_ids())
            if version_id is not None:
                self._change(self._load, version_id)

    async def _hold(self, version_id: UUID) -> None:
        """One more host of a pinned version."""
        held = self._shelf.held().get(version_id)
        if held is None:
            await self._load(version_id)
        elif held.hosts < self._settings.max_hosts_per_version:
            await self._add_host(version_id)

    def _has_room_for_host(self, held: Held) -> bool:
        most = min(cores(), self._settings.max_hosts_per_version)
        return held.hosts < most and self._shelf.has_memory_for(held.memory_bytes // max(1, held.hosts))

    def _pinned_here(self) -> list[UUID]:
        return [version_id for version_id in self._shelf.version_ids() if version_id in self.pins]

    def _pinned_bytes(self) -> int:
        return sum(held.memory_bytes for v, held in self._shelf.held().items() if v in self.pins)

    def _change(self, errand: Errand, version_id: UUID) -> None:
        if version_id in self._changing:
            return

        async def change(subject: UUID) -> None:
            try:
                await errand(subject)
            finally:
                self._changing.discard(subject)

        self._changing.add(version_id)
        self._begin(change, version_id)
