"""How an endpoint stops: by its owner, or for what it answered, of which the owner is told by mail.

What waits for it is held: nothing is sent unless somebody asks for it again.
"""

from uuid import UUID

import httpx
from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.tables import User
from shared.mail.outbox import queue_mail
from shared.webhooks.acts import note_webhook
from shared.webhooks.delivery import DeliveryStatus, DisabledReason
from shared.webhooks.tables import DeliveryRow, EndpointRow

_WHY = {
    DisabledReason.GONE: "it answered 410 Gone, which says that it wants no more events",
    DisabledReason.EXHAUSTED: "an event could not be delivered at any of ten attempts, over three days",
}


async def disable_with_notice(session: AsyncSession, endpoint_id: UUID, reason: DisabledReason) -> None:
    """Disable an endpoint for what it answered, and tell its owner; nothing if it is disabled already."""
    endpoint = await session.scalar(
        select(EndpointRow)
        .where(EndpointRow.id == endpoint_id, EndpointRow.enabled)
        .with_for_update(key_share=True)  # events may still be recorded for it
        .execution_options(populate_existing=True)
    )
    if endpoint is None:
        return
    held = await disable(session, endpoint, reason)
    await note_webhook(session, endpoint, "webhook.disable", after={"reason": reason, "held": held})
    owner = await _address_of_owner(session, endpoint)
    if owner is not None:
        await queue_mail(
            session, to=owner, subject=_subject(endpoint), text=_text(endpoint, reason, held=held)
        )


async def disable(session: AsyncSession, endpoint: EndpointRow, reason: DisabledReason) -> int:
    """Disable an endpoint whose row is locked; how many deliveries are held for it."""
    endpoint.enabled, endpoint.disabled_reason, endpoint.disabled_at = False, reason, func.now()
    await session.flush()
    held = await session.scalars(
        update(DeliveryRow)
        .where(DeliveryRow.endpoint_id == endpoint.id, DeliveryRow.status == DeliveryStatus.PENDING)
        .values(status=DeliveryStatus.HELD)
        .returning(DeliveryRow.id)
        .execution_options(synchronize_session=False)
    )
    await session.refresh(endpoint)
    return len(held.all())


async def _address_of_owner(session: AsyncSession, endpoint: EndpointRow) -> str | None:
    """Of who made the endpoint; of the first of the tenant where they left."""
    made = User.id == endpoint.user_id
    query = select(User.email).where(or_(made, User.tenant_id == endpoint.tenant_id))
    return await session.scalar(query.order_by(made.desc().nulls_last(), User.id).limit(1))


def _subject(endpoint: EndpointRow) -> str:
    return f"Your webhook at {httpx.URL(endpoint.url).host} was disabled"


def _text(endpoint: EndpointRow, reason: DisabledReason, *, held: int) -> str:
    """Never the whole URL: its path may be a secret."""
    host = httpx.URL(endpoint.url).host
    return (
        f"Modelyard sends no more events to your webhook {endpoint.id} at {host}: {_WHY[reason]}.\n\n"
        f"GET /api/v1/webhooks/{endpoint.id}/deliveries shows every attempt and what was answered. "
        f"{held} deliveries that waited are held.\n\n"
        'Once the receiver is mended, send {"enabled": true} by PATCH to '
        f"/api/v1/webhooks/{endpoint.id}, and POST to its /redeliver to have again what it missed.\n"
    )
