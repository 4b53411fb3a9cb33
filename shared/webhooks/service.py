"""The life of a delivery: recorded with the event, claimed, attempted, tried again or done.

Postgres is the truth and keeps the schedule; messages only ask for an attempt. Every time here is
the database's, so that no worker's clock matters.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import ColumnElement, and_, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.tables import Tenant
from shared.database.now import database_now
from shared.outbound.web_address import host_of, port_of
from shared.settings import Settings
from shared.webhooks.circuit import close_circuit, lock_deliveries, may_attempt, note_failure
from shared.webhooks.delivery import Attempt, DeliveryStatus, DisabledReason, Outcome
from shared.webhooks.disabling import disable_with_notice
from shared.webhooks.event import encode_event
from shared.webhooks.schedule import MAX_ATTEMPTS, delay_after
from shared.webhooks.secrets import endpoint_secrets, tenant_secrets
from shared.webhooks.tables import DeliveryAttemptRow, DeliveryRow, EndpointRow

LEASE_MARGIN_S = 10  # beyond the limit of an attempt, for its two transactions


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
    address = httpx.URL(url)
    delivery = new_delivery(
        tenant_id, event_type, encode_event(event_type, data, timestamp=now), job_id=job_id, now=now
    )
    delivery.url, delivery.target = url, f"{host_of(address)}:{port_of(address)}"
    session.add(delivery)
    await session.flush()
    return delivery


def new_delivery(
    tenant_id: UUID, event_type: str, body: bytes, *, job_id: UUID | None, now: datetime
) -> DeliveryRow:
    """A delivery that is due, of which somebody is told at once. It needs an address."""
    return DeliveryRow(
        tenant_id=tenant_id,
        job_id=job_id,
        event_type=event_type,
        body=body.decode(),
        status=DeliveryStatus.PENDING,
        created_at=now,
        next_attempt_at=now,
        sent_at=now,
    )


async def claim_attempt(session: AsyncSession, delivery_id: UUID, settings: Settings) -> Attempt | None:
    """Take the delivery for one attempt, which counts from here on whatever becomes of its worker.

    Returns:
        None where there is nothing to do: delivered, not due yet, another worker's, or its receiver is given
        no attempt now (`shared/webhooks/circuit.py`).
    """
    tenant = await _lock_tenant_of(session, delivery_id)
    now = await database_now(session)
    free = or_(DeliveryRow.lease_until.is_(None), DeliveryRow.lease_until <= now)
    found = await session.execute(
        select(DeliveryRow, EndpointRow)
        .outerjoin(EndpointRow, EndpointRow.id == DeliveryRow.endpoint_id)
        .where(DeliveryRow.id == delivery_id, _pending(), DeliveryRow.next_attempt_at <= now, free)
        .with_for_update(of=DeliveryRow)
    )
    row = found.one_or_none()
    if tenant is None or row is None:
        return None
    delivery: DeliveryRow = row[0]
    endpoint: EndpointRow | None = row[1]
    if not await _is_to_be_sent(session, delivery, endpoint):
        return None
    if not await may_attempt(session, delivery, now=now, settings=settings):
        return None
    _start_attempt(session, delivery, lease_s=settings.webhook_timeout_s + LEASE_MARGIN_S, now=now)
    if endpoint is None:
        return _attempt(delivery, tenant_secrets(tenant, settings, now=now), now=now)
    delivery.url = endpoint.url  # it may have been changed since
    return _attempt(delivery, endpoint_secrets(endpoint, settings, now=now), now=now)


async def record_outcome(session: AsyncSession, attempt: Attempt, outcome: Outcome) -> None:
    """Write down what came of the attempt, and what follows from it.

    A failure that arrives after the lease went to another worker leaves the delivery to that one.
    A success counts whenever it arrives: the receiver has the event.
    """
    if await lock_deliveries(session, attempt.tenant_id) is None:
        return
    await _complete_attempt(session, attempt, outcome)
    follows = _what_follows(attempt, outcome)
    mine = true() if outcome.is_delivered else _is_the_latest(attempt)
    waits = or_(_pending(), DeliveryRow.status == DeliveryStatus.HELD) if outcome.is_delivered else _pending()
    changed = await session.scalar(
        update(DeliveryRow)
        .where(DeliveryRow.id == attempt.delivery_id, waits, mine)
        .values(lease_until=None, **follows)
        .returning(DeliveryRow.id)
    )
    if outcome.is_delivered:
        await close_circuit(session, attempt.tenant_id, attempt.target)
        return
    await note_failure(session, attempt, now=await database_now(session))
    if changed and attempt.endpoint_id and follows.get("status") == DeliveryStatus.FAILED:
        reason = DisabledReason.GONE if outcome.is_refused else DisabledReason.EXHAUSTED
        await disable_with_notice(session, attempt.endpoint_id, reason)


def _pending() -> ColumnElement[bool]:
    return DeliveryRow.status == DeliveryStatus.PENDING


def _is_the_latest(attempt: Attempt) -> ColumnElement[bool]:
    """Nobody has claimed the delivery since, nor asked for it to be sent again."""
    before = attempt.number - attempt.number_in_schedule
    return and_(DeliveryRow.attempts == attempt.number, DeliveryRow.attempts_before == before)


async def _lock_tenant_of(session: AsyncSession, delivery_id: UUID) -> Tenant | None:
    query = select(DeliveryRow.tenant_id).where(DeliveryRow.id == delivery_id)
    tenant_id = await session.scalar(query)
    return None if tenant_id is None else await lock_deliveries(session, tenant_id)


async def _is_to_be_sent(session: AsyncSession, delivery: DeliveryRow, endpoint: EndpointRow | None) -> bool:
    if endpoint is not None and not endpoint.enabled:  # recorded while that happened
        delivery.status = DeliveryStatus.HELD
        return False
    if delivery.attempts - delivery.attempts_before < MAX_ATTEMPTS:
        return True
    delivery.status = DeliveryStatus.FAILED  # its last worker was lost before it could say so
    if endpoint is not None:
        await session.flush()
        await disable_with_notice(session, endpoint.id, DisabledReason.EXHAUSTED)
    return False


def _attempt(delivery: DeliveryRow, secrets: Sequence[str], *, now: datetime) -> Attempt:
    return Attempt(
        delivery_id=delivery.id,
        tenant_id=delivery.tenant_id,
        endpoint_id=delivery.endpoint_id,
        target=delivery.target,
        number=delivery.attempts,
        number_in_schedule=delivery.attempts - delivery.attempts_before,
        attempted_at=now,
        url=delivery.url,
        event_type=delivery.event_type,
        body=delivery.body.encode(),
        secrets=tuple(secrets),
    )


async def _complete_attempt(session: AsyncSession, attempt: Attempt, outcome: Outcome) -> None:
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


def _start_attempt(session: AsyncSession, delivery: DeliveryRow, *, lease_s: float, now: datetime) -> None:
    delivery.attempts += 1
    delivery.lease_until = now + timedelta(seconds=lease_s)
    session.add(DeliveryAttemptRow(delivery_id=delivery.id, number=delivery.attempts, attempted_at=now))


def _what_follows(attempt: Attempt, outcome: Outcome) -> dict[str, Any]:
    if outcome.is_delivered:
        return {"status": DeliveryStatus.DELIVERED, "delivered_at": func.now()}
    chance = random.random()  # noqa: S311  spreads load
    delay_s = delay_after(attempt.number_in_schedule, retry_after_s=outcome.retry_after_s, chance=chance)
    if delay_s is None or outcome.is_refused:
        return {"status": DeliveryStatus.FAILED}
    return {"next_attempt_at": func.now() + timedelta(seconds=delay_s)}
