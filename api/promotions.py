"""Switching versions without a cold start: first a worker holds the version, then it serves."""

import asyncio
import time
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.catalog.catalog import Catalog
from shared.catalog.lookup import ShownModel
from shared.predictions.placement import Heartbeats, ask_to_load

log = structlog.get_logger()

LOOK_PAUSE_S = 0.05


class Promotions:
    """Promotes and rolls back. A version that no worker comes to hold in time serves all the same."""

    def __init__(self, catalog: Catalog, redis: Redis, *, heartbeats: Heartbeats) -> None:
        self._catalog, self._redis, self._heartbeats = catalog, redis, heartbeats

    async def promote(self, tenant_id: UUID, model: str, number: int, *, wait_s: float) -> ShownModel:
        """Make a version serve, once a worker holds it; errors as `Catalog.promote`."""
        version_id = await self._catalog.promotable(tenant_id, model, number)
        await self._warm(version_id, wait_s)
        return await self._catalog.promote(tenant_id, model, number)

    async def roll_back(self, tenant_id: UUID, model: str, *, wait_s: float) -> ShownModel:
        """Make the version serve that did before, once a worker holds it; errors as `Catalog.roll_back`."""
        version_id = await self._catalog.previous(tenant_id, model)
        await self._warm(version_id, wait_s)
        return await self._catalog.roll_back(tenant_id, model)

    async def _warm(self, version_id: UUID, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._until_held(version_id)
        except TimeoutError:
            log.warning("promoted before a worker held it", version_id=str(version_id), waited_s=wait_s)
        except (RedisError, OSError) as error:  # PostgreSQL decides what serves, not Redis
            log.warning("promoted without a look at the workers", error=str(error))

    async def _until_held(self, version_id: UUID) -> None:
        while not await self._is_held(version_id):  # noqa: ASYNC110  workers tell Redis, not this process
            await asyncio.sleep(LOOK_PAUSE_S)

    async def _is_held(self, version_id: UUID) -> bool:
        """Whether a worker answers for it, or none is there to be waited for. Asks for it otherwise."""
        living = await self._heartbeats.living()
        if not living or any(held.version_id == version_id for state in living for held in state.held):
            return True
        if not any(version_id in state.versions for state in living):
            await ask_to_load(self._redis, [version_id], now_ms=int(time.time() * 1000))
        return False
