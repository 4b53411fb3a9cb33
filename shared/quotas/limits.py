"""What applies to one tenant: its own quotas, which whoever runs the platform sets, and the defaults."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.tables import Tenant
from shared.database.tenant_lock import lock_tenant
from shared.quotas.errors import QuotaExceeded
from shared.quotas.holdings import held
from shared.quotas.quota import Quota, defaults
from shared.settings import Settings

HAS_OWN: Final = text("tenants.quotas <> '{}'")  # as the index has it


async def limits_of(session: AsyncSession, tenant_id: UUID, settings: Settings) -> dict[Quota, int]:
    """Every quota of the tenant; 0: none."""
    own = await session.scalar(select(Tenant.quotas).where(Tenant.id == tenant_id))
    return applied(own or {}, settings)


async def limit_of(session: AsyncSession, tenant_id: UUID, quota: Quota, *, settings: Settings) -> int:
    """One of them."""
    return (await limits_of(session, tenant_id, settings))[quota]


async def own_limits(session: AsyncSession, quota: Quota) -> dict[UUID, int]:
    """The tenants that have a quota of their own, and how much it is."""
    query = select(Tenant.id, Tenant.quotas[quota.value]).where(HAS_OWN, Tenant.quotas.has_key(quota.value))
    return {tenant_id: int(limit) for tenant_id, limit in await session.execute(query)}


def applied(own: Mapping[str, Any], settings: Settings) -> dict[Quota, int]:
    """The tenant's own quotas where it has some, else the defaults. Names of other releases say nothing."""
    return {quota: own.get(quota, default) for quota, default in defaults(settings).items()}


async def require_room(
    session: AsyncSession, tenant_id: UUID, quota: Quota, *, settings: Settings, more: int = 1
) -> None:
    """Let the tenant have more, which the same transaction adds: never too much, whoever else asks.

    Holds the tenant's lock, so ask before any row is locked.

    Raises:
        QuotaExceeded: it would be too much.
    """
    limit = await limit_of(session, tenant_id, quota, settings=settings)
    if not limit:
        return
    await lock_tenant(session, tenant_id)
    await _check_room(session, tenant_id, quota, limit=limit, more=more)


async def look_for_room(
    session: AsyncSession, tenant_id: UUID, quota: Quota, *, settings: Settings, more: int
) -> None:
    """Whether there is room as things are now; others may take it meanwhile.

    Raises:
        QuotaExceeded: there is none.
    """
    limit = await limit_of(session, tenant_id, quota, settings=settings)
    if limit:
        await _check_room(session, tenant_id, quota, limit=limit, more=more)


async def _check_room(session: AsyncSession, tenant_id: UUID, quota: Quota, *, limit: int, more: int) -> None:
    used = await held(session, tenant_id, quota)
    if used + more > limit:
        raise QuotaExceeded(quota, limit=limit, used=used, more=more)
