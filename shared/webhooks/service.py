"""The life of a delivery: recorded with the event, claimed, attempted, tried again or done.

Postgres is the truth and keeps the schedule; messages only ask for an attempt. Every time here is
the database's, so that no worker's clock matters.
"""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.tables import Tenant
from shared.database.now import database_now
from shared.settings import Settings
from shared.webhooks.delivery import Attempt, DeliveryStatus, Outcome
from shared.webhooks.event import encode_event
from shared.webhooks.schedule import MAX_ATTEMPTS, delay_after
from shared.webhooks.signing import tenant_secret
from shared.webhooks.tables import DeliveryAttemptRow, DeliveryRow

LEASE_MARGIN_S = 10  # beyond the limit of an attempt, for its two transactions
MAX_DUE = 500  # deliveries that one round of the scheduler asks for


async def record_event(
    session: AsyncSession,
    *,
    tenant_id: UUID,
    job_id: UUID | None,
    url: str,
    event_type: str,
    data: Mapping[str, Any],
) -> DeliveryRow:
    """Record an event for `url`, in the transaction in which it happens. Send `DELIVER` after the commit.

    The body is fixed here: every attempt sends the same bytes under the same id.
    """
    now = await database_now(session)
    delivery = DeliveryRow(
        tenant_id=tenant_id,
        job_id=job_id,
        url=url,
        event_type=event_type,
        body=encode_event(event_type, data, timestamp=now).decode(),
        status=DeliveryStatus.PENDING,
        created_at=now,
        next_attempt_at=now,
        sent_at=now,
    )
    session.add(delivery)
    await session.flush()
    return delivery


async def claim_attempt(session: AsyncSession, delivery_id: UUID, settings: Settings) -> Attempt | None:
    """Take the delivery for one attempt, which counts from here on whatever becomes of its worker.

    Returns:
        None where there is nothing to do: delivered, not due yet, or another worker's.
    """
    now = await database_now(session)
    free = or_(DeliveryRow.lease_until.is_(None), DeliveryRow.lease_until <= now)
    found = await session.execute(
        select(DeliveryRow, Tenant.webhook_salt)
        .join(Tenant, Tenant.id == DeliveryRow.tenant_id)
        .where(DeliveryRow.id == delivery_id, _pending(), DeliveryRow.next_attempt_at <= now, free)
        .with_for_update(of=DeliveryRow)
    )
    row = found.one_or_none()
    if row is None:
        return None
    delivery, salt = row
    if delivery.attempts >= MAX_ATTEMPTS:  # its last worker was lost before it could say so
        delivery.status = DeliveryStatus.FAILED
        return None
    _start_attempt(session, delivery, lease_s=settings.webhook_timeout_s + LEASE_MARGIN_S, now=now)
    return Attempt(
        delivery_id=delivery.id,
        number=delivery.attempts,
        attempted_at=now,
        url=delivery.url,
        event_type=delivery.event_type,
        body=delivery.body.encode(),
        secret=tenant_secret(settings.secret_key, salt=salt),
    )


async def record_outcome(session: AsyncSession, attempt: Attempt, outcome: Outcome) -> None:
    """Write down what came of the attempt, and what follows from it.

    A failure that arrives after the lease went to another worker leaves the delivery to that one.
    A success counts whenever it arrives: the receiver has the event.
    """
    await session.execute(
        update(DeliveryAttemptRow)
        .where(
            DeliveryAttemptRow.delivery_id == attempt.delivery_id,
            DeliveryAttemptRow.number == attempt.number,
        )
        .values(
            latency_ms=outcome.latency_ms,
            status_code=outcome.status_code,
            error=outcome.error,
            answer=outcome.answer,
        )
    )
    mine = true() if outcome.is_delivered else DeliveryRow.attempts == attempt.number
    await session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id == attempt.delivery_id, _pending(), mine)
        .values(lease_until=None, **_what_follows(attempt, outcome))
    )


async def due_deliveries(session: AsyncSession, settings: Settings) -> list[UUID]:
    """The deliveries to ask for now, noted as asked for. Send `DELIVER` for each after the commit.

    Due are those whose time has come or whose worker's lease ran out, unless a message asked since;
    and those that a message asked for a while ago without effect.
    """
    due_at = func.greatest(DeliveryRow.next_attempt_at, DeliveryRow.lease_until)
    unanswered = DeliveryRow.sent_at < func.now() - timedelta(seconds=settings.resend_after_s)
    due = (
        select(DeliveryRow.id)
        .where(_pending(), due_at <= func.now(), or_(DeliveryRow.sent_at < due_at, unanswered))
        .order_by(DeliveryRow.next_attempt_at)
        .limit(MAX_DUE)
        .with_for_update(skip_locked=True)
        .cte()
    )
    sent = await session.scalars(
        update(DeliveryRow)
        .where(DeliveryRow.id == due.c.id)
        .values(sent_at=func.now())
        .returning(DeliveryRow.id)
    )
    return list(sent)


def _pending() -> ColumnElement[bool]:
    return DeliveryRow.status == DeliveryStatus.PENDING


def _start_attempt(session: AsyncSession, delivery: DeliveryRow, *, lease_s: float, now: datetime) -> None:
    delivery.attempts += 1
    delivery.lease_until = now + timedelta(seconds=lease_s)
    session.add(DeliveryAttemptRow(delivery_id=delivery.id, number=delivery.attempts, attempted_at=now))


def _what_follows(attempt: Attempt, outcome: Outcome) -> dict[str, Any]:
    if outcome.is_delivered:
        return {"status": DeliveryStatus.DELIVERED, "delivered_at": func.now()}
    delay_s = delay_after(attempt.number, retry_after_s=outcome.retry_after_s, chance=random.random())  # noqa: S311  spreads load
    if delay_s is None or outcome.is_refused:
        return {"status": DeliveryStatus.FAILED}
    return {"next_attempt_at": func.now() + timedelta(seconds=delay_s)}
