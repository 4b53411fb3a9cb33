"""Which version of a model serves: promotions and their undoing.

Every function here wants the model's row locked by its transaction (`find_model(..., lock=True)`).
"""

from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.catalog.errors import NothingToRollBack, VersionNotServable
from shared.catalog.tables import ModelRow, PromotionRow, VersionRow
from shared.catalog.version import SERVABLE


async def promote(session: AsyncSession, model: ModelRow, version: VersionRow) -> None:
    """Make the version serve. Promoting the one that serves changes nothing.

    Raises:
        VersionNotServable: it is not ready.
    """
    check_servable(version)
    if model.current_version_id == version.id:
        return
    # The server's clock at this very moment, not at the transaction's start: promotions of a model
    # are ordered by it, and this one may have waited for the lock.
    session.add(PromotionRow(model_id=model.id, version_id=version.id, created_at=func.clock_timestamp()))
    model.current_version_id = version.id


def check_servable(version: VersionRow) -> None:
    """Refuse a version that cannot serve.

    Raises:
        VersionNotServable: it is not ready.
    """
    if version.status not in SERVABLE:
        raise VersionNotServable(f"version {version.number} is {version.status} and cannot serve")


async def promote_if_newest(session: AsyncSession, model: ModelRow, version: VersionRow) -> None:
    """Make a version that just became ready serve, unless a later one does already."""
    number = await session.scalar(select(VersionRow.number).where(VersionRow.id == model.current_version_id))
    if number is None or number < version.number:
        await promote(session, model, version)


async def roll_back(session: AsyncSession, model: ModelRow) -> None:
    """Undo the newest promotion, so that the version before it serves again.

    Raises:
        NothingToRollBack: no version served before.
    """
    newest, previous = await _newest_two(session, model)
    await session.execute(
        update(PromotionRow).where(PromotionRow.id == newest.id).values(undone_at=func.now())
    )
    model.current_version_id = previous.version_id


async def previous_version_id(session: AsyncSession, model: ModelRow) -> UUID:
    """The version that a rollback would make serve; the model's row need not be locked.

    Raises:
        NothingToRollBack: no version served before.
    """
    _, previous = await _newest_two(session, model)
    return previous.version_id


async def withdraw(session: AsyncSession, model: ModelRow, version: VersionRow) -> None:
    """Delete the version with its promotions. If it served, the one promoted before serves again."""
    await session.execute(delete(VersionRow).where(VersionRow.id == version.id))
    if model.current_version_id != version.id:
        return
    standing = await _standing_promotions(session, model, limit=1)
    model.current_version_id = standing[0].version_id if standing else None


async def _newest_two(session: AsyncSession, model: ModelRow) -> tuple[PromotionRow, PromotionRow]:
    standing = await _standing_promotions(session, model, limit=2)
    if len(standing) < 2:  # noqa: PLR2004  the present one and the one before
        raise NothingToRollBack(f"no version of {model.name!r} served before the present one")
    return standing[0], standing[1]


async def _standing_promotions(session: AsyncSession, model: ModelRow, *, limit: int) -> list[PromotionRow]:
    """The newest promotions that were not undone, the newest first."""
    query = (
        select(PromotionRow)
        .where(PromotionRow.model_id == model.id, PromotionRow.undone_at.is_(None))
        .order_by(PromotionRow.created_at.desc(), PromotionRow.id.desc())
        .limit(limit)
    )
    return list(await session.scalars(query))
