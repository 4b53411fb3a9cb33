"""What predict workers ask of the catalog: what can be loaded, how it is served, and what is pinned."""

from collections.abc import Collection
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.catalog.model_settings import ModelSettings
from shared.catalog.pinning import PINS
from shared.catalog.tables import ModelRow, VersionRow
from shared.catalog.version import SERVABLE, VersionStatus

_WANTED = {
    *SERVABLE,
    VersionStatus.VALIDATING,
}  # the last is held by whoever is about to say that it is ready


class Loadable(msgspec.Struct, frozen=True):
    """A version that can serve, and how."""

    version: VersionRow
    settings: ModelSettings


async def find_loadable(session: AsyncSession, version_id: UUID) -> Loadable | None:
    """The version; None where it is gone or cannot serve."""
    query = (
        select(VersionRow, ModelRow.settings)
        .join(ModelRow, VersionRow.model_id == ModelRow.id)
        .where(VersionRow.id == version_id, VersionRow.status.in_(SERVABLE))
    )
    found = (await session.execute(query)).one_or_none()
    return None if found is None else Loadable(found[0], ModelSettings.from_stored(found[1]))


async def settings_of_held(session: AsyncSession, version_ids: Collection[UUID]) -> dict[UUID, ModelSettings]:
    """How those of the versions are served that are still there; the others are to be let go."""
    query = (
        select(VersionRow.id, ModelRow.settings)
        .join(ModelRow, VersionRow.model_id == ModelRow.id)
        .where(VersionRow.id.in_(version_ids), VersionRow.status.in_(_WANTED))
    )
    return {version: ModelSettings.from_stored(stored) for version, stored in await session.execute(query)}


async def pinned_versions(session: AsyncSession) -> dict[UUID, int]:
    """The serving versions of models with `min_replicas`, and how many processes must hold each."""
    query = (
        select(ModelRow.current_version_id, PINS)
        .join(VersionRow, VersionRow.id == ModelRow.current_version_id)
        .where(PINS > 0, VersionRow.status.in_(SERVABLE))
    )
    return {version: pins for version, pins in await session.execute(query) if version is not None}
