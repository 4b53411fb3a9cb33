"""What a tenant sees of what is sent for it: its own secret, and its deliveries with every attempt."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

import msgspec
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.tables import Tenant
from shared.audit.actor import Target
from shared.audit.log import record_audit
from shared.database.now import database_now
from shared.settings import Settings
from shared.webhooks.circuit import lock_deliveries, open_circuits
from shared.webhooks.delivery import DeliveryStatus
from shared.webhooks.errors import DeliveryNotFound
from shared.webhooks.secrets import rotate_tenant, tenant_secrets
from shared.webhooks.tables import DeliveryAttemptRow, DeliveryRow


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: what the receiver answered, or why there was no answer."""

    number: int
    attempted_at: datetime
    latency_ms: int | None  # None while it runs, and where its worker was lost
    status_code: int | None
    error: str | None
    answer: str | None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one address. `id` is the `webhook-id` that the receiver sees."""

    id: UUID
    webhook_id: UUID | None  # None: it goes to a `callback_url`
    job_id: UUID | None
    event_type: str
    url: str
    status: str
    created_at: datetime
    next_attempt_at: datetime | None  # None where no attempt will follow
    delivered_at: datetime | None
    attempts: list[AttemptView]


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries are looked for; None: whatever they are."""

    job_id: UUID | None = None
    endpoint_id: UUID | None = None
    status: DeliveryStatus | None = None
    event_type: str | None = None


async def read_secret(session: AsyncSession, tenant_id: UUID, settings: Settings) -> str:
    """The secret that the tenant's deliveries to `callback_url`s are signed with."""
    tenant = await session.get_one(Tenant, tenant_id)
    return tenant_secrets(tenant, settings, now=await database_now(session))[0]


async def rotate_secret(session: AsyncSession, tenant_id: UUID, settings: Settings) -> str:
    """Give the tenant another such secret; for a while the one before signs too."""
    tenant = await lock_deliveries(session, tenant_id)
    if tenant is not None:
        rotate_tenant(tenant, settings, now=await database_now(session))
        target = Target(type="tenant", id=tenant.id, name=tenant.name)
        await record_audit(session, action="callback_secret.rotate", target=target, tenant_id=tenant.id)
    return await read_secret(session, tenant_id, settings)


async def find_delivery(session: AsyncSession, tenant_id: UUID, delivery_id: UUID) -> DeliveryView:
    """A delivery.

    Raises:
        DeliveryNotFound: there is none, or it is another tenant's.
    """
    query = select(DeliveryRow).where(DeliveryRow.tenant_id == tenant_id, DeliveryRow.id == delivery_id)
    row = await session.scalar(query)
    if row is None:
        raise DeliveryNotFound
    return (await _delivery_views(session, [row]))[0]


async def list_deliveries(
    session: AsyncSession,
    tenant_id: UUID,
    wanted: DeliveryFilter,
    *,
    before: UUID | None,
    limit: int,
    of_jobs: Select[UUID] | None = None,
) -> list[DeliveryView]:
    """The tenant's deliveries that are wanted, the newest first.

    Args:
        before: the last delivery of the page before; None for the first page.
        limit: of a page. One more is returned where there is another page.
        of_jobs: only of these; None: of all, and of none.
    """
    query = select(DeliveryRow).where(DeliveryRow.tenant_id == tenant_id)
    for name in wanted.__struct_fields__:
        if (value := getattr(wanted, name)) is not None:
            query = query.where(getattr(DeliveryRow, name) == value)
    if of_jobs is not None:
        query = query.where(DeliveryRow.job_id.in_(of_jobs))
    if before is not None:
        query = query.where(DeliveryRow.id < before)
    rows = (await session.scalars(query.order_by(DeliveryRow.id.desc()).limit(limit + 1))).all()
    return await _delivery_views(session, rows)


async def _delivery_views(session: AsyncSession, rows: Sequence[DeliveryRow]) -> list[DeliveryView]:
    """As their tenant sees them, all of one."""
    if not rows:
        return []
    attempts = await _attempts_of(session, [row.id for row in rows])
    paused = await open_circuits(session, rows[0].tenant_id)
    return [
        _delivery_view(row, attempts.get(row.id, []), paused_until=paused.get(row.target)) for row in rows
    ]


async def _attempts_of(
    session: AsyncSession, delivery_ids: Sequence[UUID]
) -> dict[UUID, list[DeliveryAttemptRow]]:
    found: Iterable[DeliveryAttemptRow] = await session.scalars(
        select(DeliveryAttemptRow)
        .where(DeliveryAttemptRow.delivery_id.in_(delivery_ids))
        .order_by(DeliveryAttemptRow.delivery_id, DeliveryAttemptRow.number)
    )
    return {id_: list(rows) for id_, rows in groupby(found, key=lambda row: row.delivery_id)}


def _delivery_view(
    row: DeliveryRow, attempts: Iterable[DeliveryAttemptRow], *, paused_until: datetime | None
) -> DeliveryView:
    due_at = row.next_attempt_at if paused_until is None else max(row.next_attempt_at, paused_until)
    return DeliveryView(
        id=row.id,
        webhook_id=row.endpoint_id,
        job_id=row.job_id,
        event_type=row.event_type,
        url=row.url,
        status=row.status,
        created_at=row.created_at,
        next_attempt_at=due_at if row.status == DeliveryStatus.PENDING else None,
        delivered_at=row.delivered_at,
        attempts=[_attempt_view(attempt) for attempt in attempts],
    )


def _attempt_view(row: DeliveryAttemptRow) -> AttemptView:
    return AttemptView(
        number=row.number,
        attempted_at=row.attempted_at,
        latency_ms=row.latency_ms,
        status_code=row.status_code,
        error=row.error,
        answer=row.answer,
    )
