"""How many predictions a day each tenant may ask for, known in this process: the path asks no database.

Only tenants with a quota of their own are kept, and looked up again every few seconds: so late a change is.
The requests themselves are counted in Redis, exactly, by the script that counts all limits.
"""

import asyncio
from typing import Final
from uuid import UUID

import structlog

from shared.background import end_tasks
from shared.database.engine import Database
from shared.quotas.limits import own_limits
from shared.quotas.quota import Quota
from shared.settings import Settings

log = structlog.get_logger()

_LOOK_EVERY_S: Final = 5.0


class PredictionQuotas:
    """The quotas as of the last look; while PostgreSQL is away they stay as they were."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._default = settings.quota_predictions_per_day
        self._database = database
        self._own: dict[UUID, int] = {}
        self._looking: asyncio.Task[None] | None = None

    def of(self, tenant_id: UUID) -> int:
        """Requests that the tenant may make in a day; 0: no quota."""
        return self._own.get(tenant_id, self._default)

    async def start(self) -> None:
        """Look for the first time, and go on doing so."""
        await self.look()
        self._looking = asyncio.create_task(self._look_for_ever(), name="quotas of predictions")

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            await end_tasks(self._looking)

    async def look(self) -> None:
        """Learn what the quotas are now, if PostgreSQL says so."""
        try:
            async with self._database.transaction() as session:
                self._own = await own_limits(session, Quota.PREDICTIONS_PER_DAY)
        except Exception as error:  # noqa: BLE001  whatever it is, the next look may succeed
            log.warning("quotas not looked up", error=type(error).__name__)

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            await self.look()
