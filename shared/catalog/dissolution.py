"""Models of organisations that have ended, and what lies in storage of their versions.

Here the objects go before the row, the other way round than when an owner deletes: nobody can ask for the
version meanwhile, and a crash leaves a row to go on from.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.catalog.tables import ModelRow, VersionRow
from shared.database.engine import Database
from shared.storage.store import Storage

_MOST: Final = 50  # at a time


async def remove_versions_of_dissolved(
    database: Database, storage: Storage, *, tenants: Sequence[UUID]
) -> None:
    """Remove some versions with their objects."""
    query = select(VersionRow.id, VersionRow.artifact_key, VersionRow.sample_key)
    query = query.join(ModelRow, ModelRow.id == VersionRow.model_id)
    async with database.transaction() as session:
        found = await session.execute(query.where(ModelRow.tenant_id.in_(tenants)).limit(_MOST))
    for version_id, artifact_key, sample_key in found.all():
        for key in filter(None, (artifact_key, sample_key)):
            await storage.delete(key)
        async with database.transaction() as session:  # one at a time: its statistics are many rows
            await session.execute(delete(VersionRow).where(VersionRow.id == version_id))


async def remove_models_of_dissolved(session: AsyncSession, tenants: Sequence[UUID]) -> list[UUID]:
    """Remove some models without versions; announce each after the commit."""
    has_versions = exists().where(VersionRow.model_id == ModelRow.id)
    empty = select(ModelRow.id).where(ModelRow.tenant_id.in_(tenants), ~has_versions)
    some = empty.limit(_MOST).with_for_update(skip_locked=True)
    removed = await session.scalars(delete(ModelRow).where(ModelRow.id.in_(some)).returning(ModelRow.id))
    return list(removed)
