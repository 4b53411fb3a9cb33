"""Deliveries of organisations that have ended. None is attempted any more: see `lock_deliveries`."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.webhooks.retention import MAX_REMOVED
from shared.webhooks.tables import DeliveryRow


async def remove_deliveries_of_dissolved(session: AsyncSession, tenants: Sequence[UUID]) -> None:
    """Remove some. Their endpoints are few, and go with the organisation."""
    theirs = select(DeliveryRow.id).where(DeliveryRow.tenant_id.in_(tenants))
    some = theirs.limit(MAX_REMOVED).with_for_update(skip_locked=True)
    await session.execute(delete(DeliveryRow).where(DeliveryRow.id.in_(some)))
