"""Which versions some living worker holds, and asking for those that none does."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from uuid import UUID

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.background import end_tasks
from shared.predictions.placement import Heartbeats, ask_to_load

log = structlog.get_logger()


class HeldVersions:
    """Looks at the workers' heartbeats as often as they beat."""

    def __init__(self, redis: Redis, *, heartbeat_s: float, waited_for: Callable[[], Iterable[UUID]]) -> None:
        """Prepare to look.

        Args:
            waited_for: the versions that requests wait for at present.
        """
        self._redis, self._pause_s, self._waited_for = redis, heartbeat_s, waited_for
        self._heartbeats = Heartbeats(redis, heartbeat_s=heartbeat_s)
        self._held: frozenset[UUID] = frozenset()
        self._watching: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    def __contains__(self, version_id: UUID) -> bool:
        return version_id in self._held

    def start(self) -> None:
        """Begin to look."""
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop."""
        await end_tasks(*(task for task in (self._watching, self._looking) if task is not None))

    async def look(self) -> None:
        """Look now, together with whoever looks; without Redis, what was seen last stands."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_once())
        await asyncio.shield(self._looking)

    async def ask_for(self, version_ids: list[UUID]) -> None:
        """Have workers load the versions. What does not arrive is asked for again at the next look."""
        if not version_ids:
            return
        with contextlib.suppress(RedisError, OSError):
            await ask_to_load(self._redis, version_ids, now_ms=int(time.time() * 1000))

    async def _watch(self) -> None:
        while True:
            try:
                await self._look()
            except (RedisError, OSError, msgspec.MsgspecError) as error:  # of another release, perhaps
                log.warning("workers unknown for now", error=str(error))
            await self.ask_for([wanted for wanted in self._waited_for() if wanted not in self._held])
            await asyncio.sleep(self._pause_s)

    async def _look_once(self) -> None:
        try:
            await self._look()
        except (RedisError, OSError, msgspec.MsgspecError) as error:
            log.debug("workers unknown for now", error=str(error))
        finally:
            self._looking = None

    async def _look(self) -> None:
        states = await self._heartbeats.living()
        self._held = frozenset(version for state in states for version in state.versions)
