"""The catalog for its owners: uploading, looking up, promoting and deleting models and versions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
import structlog
from msgspec import UNSET, UnsetType
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.audit.log import record_audit
from shared.audit.state import changes
from shared.catalog import lookup, pinning, serving
from shared.catalog.acts import model_target, stated, version_stated, version_target
from shared.catalog.errors import ModelInUse
from shared.catalog.lookup import ShownModel
from shared.catalog.messages import announce_model, ask_for_validation
from shared.catalog.model_settings import SettingsChanges
from shared.catalog.news import CatalogNews
from shared.catalog.room import take_room
from shared.catalog.tables import ModelRow, VersionRow
from shared.catalog.upload import Upload, insert_version
from shared.catalog.version import VersionStatus
from shared.database.engine import Database
from shared.settings import Settings
from shared.storage.store import Storage

log = structlog.get_logger()

# How often an upload that waits for its verdict looks by itself: the news that wakes it can be lost.
_LOOK_EVERY_S = 1.0

CountJobs = Callable[[AsyncSession, UUID], Awaitable[int]]  # unfinished ones that need a model or version


class UploadedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A new version, and its model as it stands now."""

    shown: ShownModel
    version: VersionRow


class Catalog:
    """What the API does with a tenant's models. `model` is an id or a name everywhere."""

    def __init__(self, database: Database, redis: Redis, *, storage: Storage, news: CatalogNews) -> None:
        self._database, self._redis = database, redis
        self._storage, self._news = storage, news

    async def add_version(self, tenant_id: UUID, upload: Upload, *, settings: Settings) -> None:
        """Record an artifact that is in storage as the model's next version, and have it validated.

        A model that is not there is made.

        Raises:
            ModelNotFound: the upload names its model by an id, and there is none.
            QuotaExceeded: the tenant has no room for it.
        """
        async with self._database.transaction() as session:
            await take_room(session, tenant_id, upload, settings=settings)
            version = await insert_version(session, tenant_id, upload)
            target, after = version_target(upload.model, version), version_stated(version)
            await record_audit(
                session, action="version.create", target=target, after=after, tenant_id=tenant_id
            )
        await _hint(ask_for_validation(self._redis, [upload.version_id]))

    async def settled(self, tenant_id: UUID, version_id: UUID, *, wait_s: float) -> UploadedVersion:
        """Wait for the version's verdict, without holding a connection to the database.

        Where the verdict takes longer than `wait_s`, the version is still `validating`.

        Raises:
            VersionWithdrawn: it was deleted meanwhile.
        """
        deadline = asyncio.get_running_loop().time() + wait_s
        with self._news.watch(version_id) as news:
            while True:
                news.clear()
                uploaded = await self._look(tenant_id, version_id)
                left_s = deadline - asyncio.get_running_loop().time()
                if uploaded.version.status != VersionStatus.VALIDATING or left_s <= 0:
                    self._news.model_changed(uploaded.shown.model.id)
                    return uploaded
                await _wait(news, min(left_s, _LOOK_EVERY_S))

    async def show(self, tenant_id: UUID, model: str) -> ShownModel:
        """The model, with the version that stands for it."""
        async with self._database.transaction() as session:
            return await lookup.show_model(session, tenant_id, model)

    async def list_models(self, tenant_id: UUID, *, before: UUID | None, limit: int) -> list[ShownModel]:
        """The newest models first, made before the one with the id `before`."""
        async with self._database.transaction() as session:
            return await lookup.list_models(session, tenant_id, before=before, limit=limit)

    async def change(
        self,
        tenant_id: UUID,
        model: str,
        *,
        description: str | UnsetType,
        settings: SettingsChanges | UnsetType,
        max_pinned: int,
    ) -> ShownModel:
        """Change what the model's owner says of it, and how it is served: all that is given, or nothing.

        Args:
            max_pinned: replicas that all models of the tenant may pin together.

        Raises:
            InvalidModelSettings, TooManyPinnedReplicas: the settings cannot be.
        """
        async with self._changing(tenant_id, model, action="model.change") as (session, row):
            if settings is not UNSET:
                await pinning.tune(session, row, settings, max_pinned=max_pinned)
            if description is not UNSET:
                row.description = description
        return await self.show(tenant_id, str(row.id))

    async def ids_of(self, tenant_id: UUID, models: Sequence[str]) -> frozenset[UUID]:
        """The ids of these models.

        Raises:
            InvalidInput: one of them is not there.
        """
        async with self._database.transaction() as session:
            return await lookup.model_ids(session, tenant_id, models)

    async def find_version(self, tenant_id: UUID, model: str, number: int) -> tuple[ModelRow, VersionRow]:
        """A version, with its model."""
        async with self._database.transaction() as session:
            row = await lookup.find_model(session, tenant_id, model)
            return row, await lookup.find_version(session, row, number)

    async def list_versions(
        self, tenant_id: UUID, model: str, *, before: int | None, limit: int
    ) -> tuple[ModelRow, list[VersionRow]]:
        """The newest versions first, with numbers below `before`; and their model."""
        async with self._database.transaction() as session:
            row = await lookup.find_model(session, tenant_id, model)
            return row, await lookup.list_versions(session, row, before=before, limit=limit)

    async def promotable(self, tenant_id: UUID, model: str, number: int) -> UUID:
        """The id of a version that could be promoted.

        Raises:
            VersionNotServable: it is not ready.
        """
        async with self._database.transaction() as session:
            row = await lookup.find_model(session, tenant_id, model)
            version = await lookup.find_version(session, row, number)
        serving.check_servable(version)
        return version.id

    async def promote(self, tenant_id: UUID, model: str, number: int) -> ShownModel:
        """Make a version serve.

        Raises:
            VersionNotServable: it is not ready.
        """
        async with self._changing(tenant_id, model, action="model.promote") as (session, row):
            await serving.promote(session, row, await lookup.find_version(session, row, number))
        return await self.show(tenant_id, str(row.id))

    async def previous(self, tenant_id: UUID, model: str) -> UUID:
        """The id of the version that a rollback would make serve.

        Raises:
            NothingToRollBack: none served before.
        """
        async with self._database.transaction() as session:
            row = await lookup.find_model(session, tenant_id, model)
            return await serving.previous_version_id(session, row)

    async def roll_back(self, tenant_id: UUID, model: str) -> ShownModel:
        """Make the version serve that did before the present one.

        Raises:
            NothingToRollBack: none did.
        """
        async with self._changing(tenant_id, model, action="model.roll_back") as (session, row):
            await serving.roll_back(session, row)
        return await self.show(tenant_id, str(row.id))

    async def delete_version(
        self, tenant_id: UUID, model: str, number: int, *, count_jobs: CountJobs
    ) -> None:
        """Delete a version and its artifact. If it served, the one promoted before serves again.

        Args:
            count_jobs: how many unfinished jobs need the version with this id.

        Raises:
            ModelInUse: some do.
        """
        async with self._changing(tenant_id, model, action=None) as (session, row):
            version = await lookup.find_version(session, row, number)
            await _refuse_if_used(session, version.id, count_jobs)
            await serving.withdraw(session, row, version)
            target, before = version_target(row.name, version), version_stated(version)
            await record_audit(
                session, action="version.delete", target=target, before=before, tenant_id=tenant_id
            )
        await self._remove_objects([version])

    async def delete_model(self, tenant_id: UUID, model: str, *, count_jobs: CountJobs) -> None:
        """Delete a model with all its versions and their artifacts.

        Args:
            count_jobs: how many unfinished jobs need the model with this id.

        Raises:
            ModelInUse: some do.
        """
        async with self._changing(tenant_id, model, action=None) as (session, row):
            await _refuse_if_used(session, row.id, count_jobs)
            versions = await lookup.all_versions(session, row)
            before = await stated(session, row) | {"versions": len(versions)}
            await record_audit(
                session, action="model.delete", target=model_target(row), before=before, tenant_id=tenant_id
            )
            await session.delete(row)
        await self._remove_objects(versions)

    def artifact(self, version: VersionRow) -> AsyncIterator[bytes]:
        """The bytes that were uploaded, in pieces."""
        return self._storage.read(version.artifact_key, end=version.artifact_size_bytes)

    @asynccontextmanager
    async def _changing(
        self, tenant_id: UUID, model: str, *, action: str | None
    ) -> AsyncIterator[tuple[AsyncSession, ModelRow]]:
        """A transaction that holds the model for itself; the news go out after its commit.

        Args:
            action: under which it is written down what has changed of the model; None: the caller does that.
        """
        async with self._database.transaction() as session:
            row = await lookup.find_model(session, tenant_id, model, lock=True)
            was = await stated(session, row) if action else {}
            yield session, row
            if action:
                before, after = changes(was, await stated(session, row))
                await record_audit(
                    session,
                    action=action,
                    target=model_target(row),
                    before=before,
                    after=after,
                    tenant_id=tenant_id,
                )
        self._news.model_changed(row.id)  # who changed it must see it at once, wherever the message is
        await _hint(announce_model(self._redis, row.id))

    async def _look(self, tenant_id: UUID, version_id: UUID) -> UploadedVersion:
        async with self._database.transaction() as session:
            version = await lookup.get_version(session, version_id)
            shown = await lookup.show_model(session, tenant_id, str(version.model_id))
        return UploadedVersion(shown=shown, version=version)

    async def _remove_objects(self, versions: list[VersionRow]) -> None:
        """After the commit: an object without a row is only waste, a row without its object is a lie."""
        for version in versions:
            for key in filter(None, (version.artifact_key, version.sample_key)):
                await self._storage.delete(key)


async def _refuse_if_used(session: AsyncSession, subject_id: UUID, count_jobs: CountJobs) -> None:
    jobs = await count_jobs(session, subject_id)
    if jobs:
        raise ModelInUse(f"{jobs} unfinished job(s) need it: cancel them, or wait until they end")


async def _wait(news: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(news.wait(), timeout_s)


async def _hint(message: Awaitable[None]) -> None:
    """Send what others would find out by themselves, only later. PostgreSQL has the truth already."""
    try:
        await message
    except (RedisError, OSError) as error:
        log.warning("hint not sent", error=str(error))
