"""Giving a tenant quotas of its own. For whoever runs the platform."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.tables import Tenant, User
from shared.audit.actor import Target
from shared.audit.log import record_audit
from shared.audit.state import changes as differences
from shared.errors import OperatorError
from shared.ids import parse_id
from shared.quotas.quota import MOST, Quota


class NoSuchTenant(OperatorError):
    """Nobody has this address, and no tenant this id."""

    code = "no_such_tenant"


class QuotaUnreadable(OperatorError):
    """Not `name=number` or `name=default`."""

    code = "quota_unreadable"


def read_quota(spelled: str) -> tuple[Quota, int | None]:
    """What `models=50` says; None for `models=default`.

    Raises:
        QuotaUnreadable: nothing.
    """
    name, _, amount = spelled.partition("=")
    if name not in set(Quota):
        raise QuotaUnreadable(f"{name!r} is no quota; there are {', '.join(Quota)}")
    if amount == "default":
        return Quota(name), None
    if not amount.isascii() or not amount.isdecimal() or int(amount) > MOST:
        raise QuotaUnreadable(f"{spelled!r} needs a whole number behind its `=` (0: no quota), or `default`")
    return Quota(name), int(amount)


async def find_tenant(session: AsyncSession, who: str) -> UUID:
    """The tenant with this id, or of the user with this email address.

    Raises:
        NoSuchTenant: there is none.
    """
    tenant_id = parse_id(who)
    by_id = select(Tenant.id).where(Tenant.id == tenant_id)
    found = await session.scalar(
        by_id if tenant_id else select(User.tenant_id).where(User.email == who.strip().lower())
    )
    if found is None:
        raise NoSuchTenant(f"no tenant has the id, and no user the address {who!r}")
    return found


async def change_own_quotas(
    session: AsyncSession, tenant_id: UUID, changes: Mapping[Quota, int | None]
) -> None:
    """Give the tenant quotas of its own; None: the default again."""
    tenant = await session.get_one(Tenant, tenant_id, with_for_update={"key_share": True})
    was = dict(tenant.quotas)
    merged = {**was, **{quota.value: amount for quota, amount in changes.items()}}
    tenant.quotas = {name: amount for name, amount in merged.items() if amount is not None}
    before, after = differences(was, tenant.quotas)
    target = Target(type="tenant", id=tenant_id, name=tenant.name)
    await record_audit(
        session, action="quota.change", target=target, before=before, after=after, tenant_id=tenant_id
    )
