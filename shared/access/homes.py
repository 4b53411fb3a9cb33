"""Everybody is in at least one organisation: the one that they log in to."""

import os
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.permissions import Role
from shared.access.tables import Tenant, User
from shared.access.team_tables import MemberRow
from shared.ids import new_id

_SALT_BYTES = 16


async def add_tenant(session: AsyncSession, name: str) -> Tenant:
    """An organisation that nobody is in yet."""
    tenant = Tenant(id=new_id(), name=name, webhook_salt=os.urandom(_SALT_BYTES))
    session.add(tenant)
    await session.flush()
    return tenant


async def add_member(session: AsyncSession, *, tenant_id: UUID, user_id: UUID, role: Role) -> MemberRow:
    """Somebody who was not in the organisation is."""
    member = MemberRow(tenant_id=tenant_id, user_id=user_id, role=role)
    session.add(member)
    await session.flush()
    return member


async def settle_home(session: AsyncSession, user_id: UUID) -> MemberRow:
    """The organisation that the user logs in to, and their role there.

    Where they are no longer in it, it becomes the one that they have been in for longest; where they are
    in none, a new one of their own. The user's row is held until the transaction ends, so that leaving two
    at once does not miss that the other was left too.
    """
    query = select(User).where(User.id == user_id).execution_options(populate_existing=True)
    user = (await session.scalars(query.with_for_update(key_share=True))).one()
    order = ((MemberRow.tenant_id == user.tenant_id).desc(), MemberRow.created_at, MemberRow.tenant_id)
    found = await session.scalar(
        select(MemberRow).where(MemberRow.user_id == user_id).order_by(*order).limit(1)
    )
    if found is None:
        tenant = await add_tenant(session, user.full_name or user.email)
        found = await add_member(session, tenant_id=tenant.id, user_id=user_id, role=Role.OWNER)
    user.tenant_id = found.tenant_id
    return found
