"""The end of an organisation: from its commit on nobody is in it, and no key or session opens it.

What it had is removed afterwards, some at a time: each story does so for those that `dissolved` names, and
`workers/dissolution.py` asks them to. At last goes its row here, with what is small and refers to it. Every
step may be done twice, so that a crash between two loses nothing. The audit log refers to nothing, and stays.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.acts import note_organization
from shared.access.homes import settle_home
from shared.access.permissions import Role
from shared.access.session_tables import SessionRow
from shared.access.sessions import end_sessions
from shared.access.tables import ApiKeyRow, Tenant, User
from shared.access.team_tables import InvitationRow, MemberRow
from shared.database.now import database_now
from shared.mail.outbox import queue_mail
from shared.quotas.holdings import held
from shared.quotas.quota import Quota

# In less a request that was let in before has written its last, which the next round finds and removes.
WRITERS_ARE_GONE_AFTER: Final = timedelta(hours=1)
_MOST_LOOKED_AT: Final = 10_000  # organisations at a time
_MOST_REMOVED: Final = 20


async def dissolve(session: AsyncSession, tenant: Tenant) -> None:
    """End an organisation. Its lock and its row are held; tell of it after the commit.

    Whoever was at home in it is at home in another of theirs, or in a new one of their own.
    """
    await _note(session, tenant)
    tenant.deleted_at = await database_now(session)
    for row in (MemberRow, InvitationRow, ApiKeyRow):
        await session.execute(delete(row).where(row.tenant_id == tenant.id))
    await _hold_people(session, tenant.id)
    await _settle_homes(session, tenant.id)
    await end_sessions(session, SessionRow.tenant_id == tenant.id)


async def dissolved(session: AsyncSession) -> list[UUID]:
    """Those that have ended, and of which something may be left, the oldest ends first.

    Looked up before anything else: one query by a small index is all that is asked while there are none.
    """
    ended = select(Tenant.id).where(Tenant.deleted_at.is_not(None)).order_by(Tenant.deleted_at)
    return list(await session.scalars(ended.limit(_MOST_LOOKED_AT)))


async def settled(session: AsyncSession, *, has_things: ColumnElement[bool]) -> list[UUID]:
    """Some of those of which nothing is left but what goes with their row.

    Args:
        has_things: whether something is left of a row of `tenants`.
    """
    ended_long_ago = Tenant.deleted_at < func.now() - WRITERS_ARE_GONE_AFTER
    query = select(Tenant.id).where(ended_long_ago, ~has_things).order_by(Tenant.deleted_at)
    return list(await session.scalars(query.limit(_MOST_REMOVED)))


async def remove_settled(session: AsyncSession, tenant_id: UUID, *, has_things: ColumnElement[bool]) -> bool:
    """Remove the row of such a one. False where something has come meanwhile, or it is gone already.

    Whoever adds something holds the row as well, so that nothing comes between the look and the end.
    """
    tenant = await session.get(Tenant, tenant_id, with_for_update=True)
    if tenant is None or await session.scalar(select(Tenant.id).where(Tenant.id == tenant_id, has_things)):
        return False
    await _settle_homes(session, tenant_id)
    await note_organization(session, tenant, "organization.remove")
    await session.delete(tenant)
    return True


async def _hold_people(session: AsyncSession, tenant_id: UUID) -> None:
    """Hold whoever is at home or acts in it, in one order: a log-in is waited for, and nobody for each other.

    Their memberships come before: whoever changes one holds that first.
    """
    acting = select(SessionRow.user_id).where(SessionRow.tenant_id == tenant_id)
    people = select(User.id).where(or_(User.tenant_id == tenant_id, User.id.in_(acting)))
    await session.execute(people.order_by(User.id).with_for_update(key_share=True))


async def _settle_homes(session: AsyncSession, tenant_id: UUID) -> None:
    at_home = await session.scalars(select(User.id).where(User.tenant_id == tenant_id).order_by(User.id))
    for user_id in at_home.all():
        await settle_home(session, user_id)


async def _note(session: AsyncSession, tenant: Tenant) -> None:
    """Write down what there was, and tell the owners, in case it was none of them."""
    people = await session.execute(
        select(User.email, MemberRow.role)
        .join(User, User.id == MemberRow.user_id)
        .where(MemberRow.tenant_id == tenant.id)
    )
    roles = dict(people.all())
    before = {"members": len(roles), "models": await held(session, tenant.id, Quota.MODELS)}
    await note_organization(session, tenant, "organization.delete", before=before)
    text = (
        f"The organisation {tenant.name} was deleted by one of its owners. Nobody can log in to it any more,"
        " its API keys have ended, and its models, jobs and files are being removed.\n\n"
        "If it was none of you, tell whoever runs this platform.\n"
    )
    for email in sorted(email for email, role in roles.items() if role == Role.OWNER):
        await queue_mail(session, to=email, subject=f"{tenant.name} was deleted", text=text)
