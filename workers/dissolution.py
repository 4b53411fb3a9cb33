"""Removes what organisations had that were deleted, some at a time."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import structlog
from redis.asyncio import Redis
from sqlalchemy import exists, or_

from shared.access.dissolution import dissolved, remove_settled, settled
from shared.access.tables import Tenant
from shared.catalog.dissolution import remove_models_of_dissolved, remove_versions_of_dissolved
from shared.catalog.messages import announce_model
from shared.catalog.tables import ModelRow
from shared.database.engine import Database
from shared.jobs.dissolution import cancel_jobs_of_dissolved, delete_jobs_of_dissolved
from shared.jobs.hints import send_hints
from shared.jobs.news import JobNews
from shared.jobs.tables import JobRow
from shared.messaging.broker import Messenger
from shared.schedules.dissolution import remove_schedules_of_dissolved
from shared.storage.store import Storage
from shared.uploads.dissolution import end_uploads_of_dissolved
from shared.uploads.tables import UploadRow
from shared.webhooks.dissolution import remove_deliveries_of_dissolved
from shared.webhooks.tables import DeliveryRow

log = structlog.get_logger()

# Whatever somebody else still has to remove, as it lies in storage, or is too much to go with one row.
_HAS_THINGS: Final = or_(
    *(exists().where(row.tenant_id == Tenant.id) for row in (ModelRow, JobRow, UploadRow, DeliveryRow))
)


class Dissolution:
    """Goes on wherever it stopped: what is left to do is what is left in the tables."""

    def __init__(
        self, database: Database, redis: Redis, *, messenger: Messenger, storage: Storage, news: JobNews
    ) -> None:
        self._database, self._redis, self._storage = database, redis, storage
        self._messenger, self._news = messenger, news

    async def round(self) -> None:
        """Remove some of all that is left."""
        async with self._database.transaction() as session:
            tenants = await dissolved(session)
        if not tenants:
            return
        await self._end_work(tenants)
        await remove_versions_of_dissolved(self._database, self._storage, tenants=tenants)
        await self._remove_models(tenants)
        await self._remove_organizations()

    async def _end_work(self, tenants: Sequence[UUID]) -> None:
        """A job that runs is cancelled in one round and deleted in the next: who follows it sees its end."""
        async with self._database.transaction() as session:
            await remove_schedules_of_dissolved(session, tenants)
            hints = await delete_jobs_of_dissolved(session, tenants)
            cancelled = await cancel_jobs_of_dissolved(session, tenants)
            await end_uploads_of_dissolved(session, tenants)
            await remove_deliveries_of_dissolved(session, tenants)
        for job_id in cancelled:
            await self._news.announce(job_id)
        await send_hints(self._messenger, hints)

    async def _remove_models(self, tenants: Sequence[UUID]) -> None:
        async with self._database.transaction() as session:
            removed = await remove_models_of_dissolved(session, tenants)
        for model_id in removed:
            await announce_model(self._redis, model_id)

    async def _remove_organizations(self) -> None:
        async with self._database.transaction() as session:
            found = await settled(session, has_things=_HAS_THINGS)
        for tenant_id in found:
            async with self._database.transaction() as session:
                removed = await remove_settled(session, tenant_id, has_things=_HAS_THINGS)
            if removed:
                log.info("organization_removed", tenant_id=str(tenant_id))
