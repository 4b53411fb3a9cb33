"""How long the log of deliveries goes back. The database's clock counts."""

from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.settings import Settings
from shared.webhooks.delivery import DeliveryStatus
from shared.webhooks.tables import CircuitRow, DeliveryRow

MAX_REMOVED = 1000  # by one round


async def remove_old_deliveries(session: AsyncSession, settings: Settings) -> None:
    """Remove some of the deliveries that ended long ago, and what is known of receivers nobody sends to."""
    if not settings.webhook_record_days:
        return
    begin = func.now() - timedelta(days=settings.webhook_record_days)
    old = (
        select(DeliveryRow.id)
        .where(DeliveryRow.status != DeliveryStatus.PENDING, DeliveryRow.created_at < begin)
        .order_by(DeliveryRow.created_at)
        .limit(MAX_REMOVED)
        .with_for_update(skip_locked=True)
    )
    await session.execute(delete(DeliveryRow).where(DeliveryRow.id.in_(old)))
    await session.execute(delete(CircuitRow).where(CircuitRow.failed_at < begin))
