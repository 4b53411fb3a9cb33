"""Artifacts and samples whose version was never written down, because the process ended in between."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.catalog.tables import VersionRow

PREFIXES = ("artifacts", "samples")


async def orphans_of_versions(session: AsyncSession, keys: Collection[str]) -> set[str]:
    """Those of these keys that no version names."""
    artifacts = await session.scalars(
        select(VersionRow.artifact_key).where(VersionRow.artifact_key.in_(keys))
    )
    samples = await session.scalars(select(VersionRow.sample_key).where(VersionRow.sample_key.in_(keys)))
    return set(keys) - set(artifacts) - set(samples)
