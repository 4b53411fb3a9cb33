"""Deliveries once more: same id, same bytes, on a schedule that begins anew. And one to try an endpoint."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.audit.actor import Target
from shared.audit.log import record_audit
from shared.database.engine import Database
from shared.database.now import database_now
from shared.ids import parse_id
from shared.settings import Settings
from shared.webhooks.acts import note_webhook
from shared.webhooks.circuit import lock_deliveries
from shared.webhooks.delivery import DeliveryStatus
from shared.webhooks.endpoints import find_enabled
from shared.webhooks.errors import DeliveryNotFound, WebhookDisabled
from shared.webhooks.event import encode_event
from shared.webhooks.events import TEST
from shared.webhooks.listing import DeliveryView, find_delivery
from shared.webhooks.publishing import for_endpoint
from shared.webhooks.request import RedeliveryRange
from shared.webhooks.service import LEASE_MARGIN_S, new_delivery
from shared.webhooks.tables import DeliveryRow, EndpointRow

MAX_REDELIVERED = 1000  # by one request
_LOOK_EVERY_S = 0.1
_MISSED = (DeliveryStatus.FAILED, DeliveryStatus.HELD)

_ANEW: Mapping[str, Any] = {
    "status": DeliveryStatus.PENDING,
    "attempts_before": DeliveryRow.attempts,
    "next_attempt_at": func.now(),
    "delivered_at": None,
}


async def redeliver(session: AsyncSession, tenant_id: UUID, delivery: str) -> UUID:
    """Send a delivery once more. Send `DELIVER` for it after the commit.

    Raises:
        DeliveryNotFound: there is none, or it is another tenant's.
        WebhookDisabled: its endpoint gets nothing.
    """
    await lock_deliveries(session, tenant_id)
    found = await session.execute(
        select(DeliveryRow.id, EndpointRow.enabled)
        .outerjoin(EndpointRow, EndpointRow.id == DeliveryRow.endpoint_id)
        .where(DeliveryRow.tenant_id == tenant_id, DeliveryRow.id == parse_id(delivery))
    )
    row = found.one_or_none()
    if row is None:
        raise DeliveryNotFound
    if row.enabled is False:  # None: it goes to a `callback_url`
        raise WebhookDisabled
    await session.execute(
        update(DeliveryRow).where(DeliveryRow.id == row.id).values(**_ANEW, sent_at=func.now())
    )
    target = Target(type="delivery", id=row.id)
    await record_audit(session, action="delivery.redeliver", target=target, tenant_id=tenant_id)
    return UUID(str(row.id))


async def redeliver_range(
    session: AsyncSession, tenant_id: UUID, webhook: str, asked: RedeliveryRange
) -> tuple[int, bool]:
    """Send many of an endpoint's deliveries once more, the oldest first. The scheduler asks for them.

    Returns:
        How many, at most MAX_REDELIVERED; and whether there are more of them.

    Raises:
        WebhookNotFound: there is none, or it is another tenant's.
        WebhookDisabled: it gets nothing.
    """
    await lock_deliveries(session, tenant_id)
    endpoint = await find_enabled(session, tenant_id, webhook)
    query = select(DeliveryRow.id).where(DeliveryRow.endpoint_id == endpoint.id, *_within(asked))
    found = (await session.scalars(query.order_by(DeliveryRow.id).limit(MAX_REDELIVERED + 1))).all()
    chosen = found[:MAX_REDELIVERED]
    await session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id.in_(chosen))
        .values(**_ANEW, sent_at=func.to_timestamp(0))  # as nobody has asked for it yet
        .execution_options(synchronize_session=False)
    )
    await note_webhook(session, endpoint, "webhook.redeliver", after={"deliveries": len(chosen)})
    return len(chosen), len(found) > len(chosen)


async def record_test(session: AsyncSession, tenant_id: UUID, webhook: str) -> UUID:
    """Record an event that says nothing, for one endpoint. Send `DELIVER` for it after the commit.

    Raises:
        WebhookNotFound: there is none, or it is another tenant's.
        WebhookDisabled: it gets nothing.
    """
    endpoint = await find_enabled(session, tenant_id, webhook)
    now = await database_now(session)
    body = encode_event(TEST, {"webhook_id": str(endpoint.id)}, timestamp=now)
    delivery = for_endpoint(endpoint, new_delivery(tenant_id, TEST, body, job_id=None, now=now))
    session.add(delivery)
    await session.flush()
    await note_webhook(session, endpoint, "webhook.test")
    return delivery.id


async def wait_for_attempt(
    database: Database, settings: Settings, tenant_id: UUID, *, delivery_id: UUID
) -> DeliveryView:
    """The delivery once an attempt at it has ended, or as it is when that takes too long.

    Raises:
        DeliveryNotFound: it was deleted meanwhile.
    """
    give_up_at = time.monotonic() + settings.webhook_timeout_s + LEASE_MARGIN_S
    while True:
        async with database.transaction() as session:
            view = await find_delivery(session, tenant_id, delivery_id)
        ended = any(attempt.latency_ms is not None for attempt in view.attempts)
        if ended or time.monotonic() > give_up_at:
            return view
        await asyncio.sleep(_LOOK_EVERY_S)


def _within(asked: RedeliveryRange) -> list[ColumnElement[bool]]:
    statuses = _MISSED if asked.status is None else (asked.status,)
    until = func.now() if asked.until is None else asked.until
    return [
        DeliveryRow.created_at >= asked.since,
        DeliveryRow.created_at < until,
        DeliveryRow.status.in_(statuses),
    ]
