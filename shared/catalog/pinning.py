"""Changing how a model is served, within what its tenant may pin."""

from typing import Any

from sqlalchemy import Integer, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.tables import Tenant
from shared.catalog.errors import TooManyPinnedReplicas
from shared.catalog.model_settings import SettingsChanges, changed_settings
from shared.catalog.tables import ModelRow

PINS = ModelRow.settings["min_replicas"].astext.cast(Integer)  # NULL where none


async def tune(session: AsyncSession, model: ModelRow, changes: SettingsChanges, *, max_pinned: int) -> None:
    """Change the settings of a model whose row is locked.

    Raises:
        InvalidModelSettings: they contradict each other.
        TooManyPinnedReplicas: the tenant's models would pin more than `max_pinned` replicas together.
    """
    settings = changed_settings(model.settings, changes)
    if _pins(settings) > _pins(model.settings):
        await _check_pins(session, model, _pins(settings), max_pinned)
    model.settings = settings


async def _check_pins(session: AsyncSession, model: ModelRow, pins: int, max_pinned: int) -> None:
    # Two changes at once must not both find room: the tenant's row is their queue.
    await session.execute(
        select(Tenant.id).where(Tenant.id == model.tenant_id).with_for_update(key_share=True)
    )
    others = select(func.coalesce(func.sum(PINS), 0)).where(
        ModelRow.tenant_id == model.tenant_id, ModelRow.id != model.id
    )
    pinned = (await session.scalars(others)).one()
    if pins + pinned > max_pinned:
        raise TooManyPinnedReplicas(
            f"min_replicas of all your models may sum up to {max_pinned}; the others have {pinned}",
            setting="min_replicas",
        )


def _pins(settings: dict[str, Any]) -> int:
    return int(settings.get("min_replicas", 0))
