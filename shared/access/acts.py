"""Organisations, their members and invitations to them as the audit log tells of them."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.permissions import Role
from shared.access.tables import Tenant, User
from shared.access.team_tables import InvitationRow, MemberRow
from shared.audit.actor import Actor, Target
from shared.audit.log import record_audit


async def note_organization(
    session: AsyncSession,
    tenant: Tenant,
    action: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write down in its own log what was done to an organisation."""
    target = Target(type="organization", id=tenant.id, name=tenant.name)
    await record_audit(session, action=action, target=target, before=before, after=after, tenant_id=tenant.id)


async def note_member(
    session: AsyncSession,
    row: MemberRow,
    action: str,
    *,
    before: Role,
    after: Role | None = None,
    revoked_keys: list[UUID] | None = None,
) -> None:
    """Write down what was done to a member: their roles, and which of their API keys went with them."""
    user = await session.get_one(User, row.user_id)
    now = {"role": after} if after is not None else {"revoked_api_keys": revoked_keys}
    await record_audit(
        session,
        action=action,
        target=Target(type="member", id=user.id, name=user.email),
        before={"role": before},
        after=now,
        tenant_id=row.tenant_id,
    )


async def note_invitation(
    session: AsyncSession, row: InvitationRow, action: str, *, user: User | None = None
) -> None:
    """Write down what was done to an invitation.

    Args:
        user: whoever accepts it, who may be nobody yet to the request; else the caller acts.
    """
    await record_audit(
        session,
        action=action,
        target=Target(type="invitation", id=row.id, name=row.email),
        after={"role": row.role},
        tenant_id=row.tenant_id,
        actor=None if user is None else Actor.user(user.id, user.email),
    )
