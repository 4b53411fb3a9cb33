"""An event for every endpoint of the tenant that wants it, in the transaction in which it happens."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from shared.database.now import database_now
from shared.webhooks.event import encode_event
from shared.webhooks.events import ONLY_BY_NAME
from shared.webhooks.service import new_delivery
from shared.webhooks.tables import DeliveryRow, EndpointRow


async def publish_event(
    session: AsyncSession,
    *,
    tenant_id: UUID,
    event_type: str,
    data: Mapping[str, Any],
    job_id: UUID | None = None,
    sends_messages: bool = True,
) -> list[UUID]:
    """Record an event for every endpoint of the tenant that wants it.

    Args:
        sends_messages: the caller sends `DELIVER` for each after the commit; otherwise the scheduler does, in
            its next round.

    Returns:
        The deliveries.
    """
    endpoints = (await session.scalars(select(EndpointRow).where(wants_event(tenant_id, event_type)))).all()
    if not endpoints:
        return []
    now = await database_now(session)
    body = encode_event(event_type, data, timestamp=now)
    made = [
        for_endpoint(endpoint, new_delivery(tenant_id, event_type, body, job_id=job_id, now=now))
        for endpoint in endpoints
    ]
    if not sends_messages:
        for delivery in made:
            delivery.sent_at = now - timedelta(seconds=1)
    session.add_all(made)
    await session.flush()
    return [delivery.id for delivery in made]


def for_endpoint(endpoint: EndpointRow, delivery: DeliveryRow) -> DeliveryRow:
    """The same, addressed to the endpoint."""
    delivery.endpoint_id, delivery.target, delivery.url = endpoint.id, str(endpoint.id), endpoint.url
    return delivery


def wants_event(tenant_id: UUID | InstrumentedAttribute[UUID], event_type: str) -> ColumnElement[bool]:
    """The condition that a row of `webhook_endpoints` gets the tenant's events of this type."""
    asked = EndpointRow.events.contains([event_type])
    wanted = asked if event_type in ONLY_BY_NAME else or_(asked, EndpointRow.events == [])
    return and_(EndpointRow.tenant_id == tenant_id, EndpointRow.enabled, wanted)
