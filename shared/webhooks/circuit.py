"""One receiver that is slow, or fails, delays no other.

Who fails together is a target: an endpoint, or for `callback_url`s the host and port, of one tenant. At most
so many attempts at one target run at once, and at most so many of one tenant. A target that fails BREAK_AFTER
times in a row is left alone for a while: its circuit is open, and all that waits for it is passed over,
without an attempt and without one being counted. Then a single attempt tries it; every further failure
doubles the pause.

Whoever asks here holds the lock of the tenant (`lock_deliveries`), so that what is counted stays true.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.tables import Tenant
from shared.settings import Settings
from shared.webhooks.delivery import Attempt, DeliveryStatus
from shared.webhooks.events import TEST
from shared.webhooks.tables import CircuitRow, DeliveryRow

BREAK_AFTER = 5  # failures in a row
FIRST_PAUSE_S = 30
MAX_PAUSE_S = 600


async def lock_deliveries(session: AsyncSession, tenant_id: UUID) -> Tenant | None:
    """Wait until nobody else claims or records attempts of the tenant. None where the tenant has ended.

    The row is locked so that others may still refer to it: recording an event does not wait.
    """
    query = select(Tenant).where(Tenant.id == tenant_id, Tenant.deleted_at.is_(None))
    return await session.scalar(
        query.with_for_update(key_share=True).execution_options(populate_existing=True)
    )


async def may_attempt(
    session: AsyncSession, delivery: DeliveryRow, *, now: datetime, settings: Settings
) -> bool:
    """Whether an attempt may begin. If not, the delivery is asked for again once one may.

    What an owner sends for a test does not wait for a pause to end.
    """
    if not await _has_room(session, delivery, now=now, settings=settings):
        delivery.sent_at = delivery.next_attempt_at - timedelta(
            seconds=1
        )  # as if nobody had asked for it yet
        return False
    return True


async def open_circuits(session: AsyncSession, tenant_id: UUID) -> dict[str, datetime]:
    """The targets of the tenant that are left alone, and until when."""
    found = await session.scalars(
        select(CircuitRow).where(CircuitRow.tenant_id == tenant_id, CircuitRow.open_until > func.now())
    )
    return {circuit.target: circuit.open_until for circuit in found if circuit.open_until}


async def close_circuit(session: AsyncSession, tenant_id: UUID, target: str) -> None:
    """The target answers as it should, or its owner says that it was mended: what waits for it is due."""
    await session.execute(
        delete(CircuitRow).where(CircuitRow.tenant_id == tenant_id, CircuitRow.target == target)
    )


async def note_failure(session: AsyncSession, attempt: Attempt, *, now: datetime) -> None:
    """The target failed once more; after BREAK_AFTER times it is left alone for a while.

    Attempts that were under way when it was broken off say nothing new.
    """
    circuit = await session.get(CircuitRow, (attempt.tenant_id, attempt.target))
    if circuit is None:
        circuit = CircuitRow(tenant_id=attempt.tenant_id, target=attempt.target, failures=0)
        session.add(circuit)
    elif circuit.open_until and circuit.open_until > now:
        return
    circuit.failures, circuit.failed_at = circuit.failures + 1, now
    if circuit.failures >= BREAK_AFTER:
        circuit.open_until = now + timedelta(seconds=pause_s(circuit.failures))
    await session.flush()


def pause_s(failures: int) -> int:
    """For how long a target is left alone after so many failures in a row."""
    doublings = min(failures - BREAK_AFTER, 10)
    return int(min(FIRST_PAUSE_S * 2**doublings, MAX_PAUSE_S))


async def _has_room(
    session: AsyncSession, delivery: DeliveryRow, *, now: datetime, settings: Settings
) -> bool:
    circuit = await session.get(CircuitRow, (delivery.tenant_id, delivery.target))
    if circuit and circuit.open_until and circuit.open_until > now and delivery.event_type != TEST:
        return False
    is_tried = circuit is not None and circuit.failures >= BREAK_AFTER
    most = 1 if is_tried else settings.webhook_attempts_per_endpoint
    at_target, of_tenant = await _running(session, delivery)
    return at_target < most and of_tenant < settings.webhook_attempts_per_tenant


async def _running(session: AsyncSession, delivery: DeliveryRow) -> tuple[int, int]:
    """Attempts under way: at the target of the delivery, and of its tenant in all."""
    of_target = func.count().filter(DeliveryRow.target == delivery.target)
    found = await session.execute(
        select(of_target, func.count()).where(
            DeliveryRow.tenant_id == delivery.tenant_id,
            DeliveryRow.status == DeliveryStatus.PENDING,
            DeliveryRow.lease_until > func.now(),
        )
    )
    at_target, of_tenant = found.one()
    return at_target, of_tenant
