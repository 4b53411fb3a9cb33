"""Which deliveries a message should ask for: those that are due, of every tenant and receiver some."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Subquery, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.settings import Settings
from shared.webhooks.delivery import Attempt, DeliveryStatus
from shared.webhooks.tables import DeliveryRow

MAX_DUE = 500  # deliveries that one round of the scheduler asks for
MAX_DUE_OF_TENANT = 50  # of these of one tenant; whoever has sent one goes on with the next


async def due_deliveries(session: AsyncSession, settings: Settings) -> list[UUID]:
    """The deliveries to ask for now, noted as asked for. Send `DELIVER` for each after the commit.

    Due are those whose time has come or whose worker's lease ran out, unless a message asked since;
    and those that a message asked for a while ago without effect. Of one receiver there are never more than
    may be sent at once: one that hangs must not fill the queue.
    """
    ranked = _ranked(_due(settings), at_once=settings.webhook_attempts_per_endpoint)
    chosen = (
        select(DeliveryRow.id)
        .join(ranked, ranked.c.id == DeliveryRow.id)
        .where(_pending(), ranked.c.rank <= MAX_DUE_OF_TENANT)
        .order_by(ranked.c.rank, DeliveryRow.next_attempt_at)
        .limit(MAX_DUE)
        .with_for_update(of=DeliveryRow, skip_locked=True)
    )
    return await _note_asked(session, (await session.scalars(chosen)).all())


async def next_in_turn(session: AsyncSession, attempt: Attempt, settings: Settings) -> list[UUID]:
    """What the place of an attempt that has ended goes to, noted as asked for: first of the same receiver.

    None, or one: a delivery that was refused an attempt when a message asked for it, as too many ran.
    """
    same = (DeliveryRow.target == attempt.target).desc()
    busy = _busy_targets(attempt.tenant_id, at_once=settings.webhook_attempts_per_endpoint)
    found = await session.scalars(
        select(DeliveryRow.id)
        .where(
            _pending(), DeliveryRow.tenant_id == attempt.tenant_id, DeliveryRow.next_attempt_at <= func.now()
        )
        .where(DeliveryRow.sent_at < DeliveryRow.next_attempt_at, DeliveryRow.lease_until.is_(None))
        .where(DeliveryRow.target.not_in(busy))
        .order_by(same, DeliveryRow.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return await _note_asked(session, found.all())


def _busy_targets(tenant_id: UUID, *, at_once: int) -> Select[str]:
    """Where as many attempts run as may."""
    runs = _pending() & (DeliveryRow.lease_until > func.now())
    running = select(DeliveryRow.target).where(DeliveryRow.tenant_id == tenant_id, runs)
    return running.group_by(DeliveryRow.target).having(func.count() >= at_once)


async def _note_asked(session: AsyncSession, ids: Sequence[UUID]) -> list[UUID]:
    if ids:
        await session.execute(update(DeliveryRow).where(DeliveryRow.id.in_(ids)).values(sent_at=func.now()))
    return list(ids)


def _due(settings: Settings) -> ColumnElement[bool]:
    due_at = func.greatest(DeliveryRow.next_attempt_at, DeliveryRow.lease_until)
    unanswered = DeliveryRow.sent_at < func.now() - timedelta(seconds=settings.resend_after_s)
    asked_too_early = DeliveryRow.sent_at < due_at
    return _pending() & (due_at <= func.now()) & or_(asked_too_early, unanswered)


def _ranked(due: ColumnElement[bool], *, at_once: int) -> Subquery:
    """The due deliveries, each tenant's ranked: the first of every receiver, then every second, and so on."""
    place = func.row_number().over(
        partition_by=(DeliveryRow.tenant_id, DeliveryRow.target), order_by=DeliveryRow.next_attempt_at
    )
    columns = DeliveryRow.id, DeliveryRow.tenant_id, DeliveryRow.next_attempt_at, place.label("place")
    placed = select(*columns).where(due).subquery()
    rank = func.row_number().over(
        partition_by=placed.c.tenant_id, order_by=(placed.c.place, placed.c.next_attempt_at)
    )
    return select(placed.c.id, rank.label("rank")).where(placed.c.place <= at_once).subquery()


def _pending() -> ColumnElement[bool]:
    return DeliveryRow.status == DeliveryStatus.PENDING
