"""The people of an organisation: listed, given other roles, removed.

What decides here is the role that PostgreSQL holds now, never the one that a caller came with. Whatever
changes members holds the organisation's lock, so that it never ends up without an owner.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.acts import note_member, note_organization
from shared.access.caller import Caller
from shared.access.homes import settle_home
from shared.access.messages import AccessNews
from shared.access.permissions import Role, RoleTooLow
from shared.access.roles import check_may_change, check_may_give
from shared.access.tables import ApiKeyRow, Tenant, User
from shared.access.team_tables import MemberRow
from shared.database.engine import Database
from shared.database.tenant_lock import lock_tenant
from shared.errors import Conflict, FieldError, InvalidInput, NotAllowed, NotFound
from shared.ids import parse_id


class MemberNotFound(NotFound):
    """Nobody of the caller's organisation has this id."""

    code = "member_not_found"


class NotAMember(NotAllowed):
    """The caller is not in this organisation any longer."""

    code = "not_a_member"


class LastOwner(Conflict):
    """An organisation has at least one owner."""

    code = "last_owner"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in an organisation, as the others see them."""

    user_id: UUID
    email: str
    full_name: str
    role: Role
    joined_at: datetime


class Members:
    """What the API does with the members of the caller's organisation."""

    def __init__(self, database: Database, news: AccessNews) -> None:
        self._database, self._news = database, news

    async def list_members(self, caller: Caller, *, after: UUID | None, limit: int) -> list[Member]:
        """By their ids, from the one behind `after`; one more than `limit` if there is.

        Raises:
            NotAMember: the caller has left.
        """
        query = select(MemberRow, User).join(User, User.id == MemberRow.user_id)
        query = query.where(MemberRow.tenant_id == caller.tenant_id)
        if after is not None:
            query = query.where(MemberRow.user_id > after)
        async with self._database.transaction() as session:
            await current_role(session, caller)
            found = await session.execute(query.order_by(MemberRow.user_id).limit(limit + 1))
            return [_member(row, user) for row, user in found]

    async def change_role(self, caller: Caller, user: str, *, role: Role) -> Member:
        """Give a member another role.

        Raises:
            MemberNotFound: nobody of the organisation has this id.
            RoleTooLow: the caller may not give this role, or not to them.
            LastOwner: there would be no owner.
        """
        async with self._changing(caller) as (session, own):
            row = await _find(session, caller.tenant_id, user)
            check_may_change(own, Role(row.role))
            check_may_give(own, role)
            if role is not Role.OWNER:
                await _keep_an_owner(session, row)
            before, row.role = Role(row.role), role
            await note_member(session, row, "member.change", before=before, after=role)
            member = _member(row, await session.get_one(User, row.user_id))
        await self._news.tell_users(member.user_id)
        return member

    async def remove(self, caller: Caller, user: str) -> None:
        """Somebody is in the organisation no longer; their keys to it are revoked.

        Raises:
            MemberNotFound: nobody of the organisation has this id.
            RoleTooLow: the caller may not remove them.
            LastOwner: there would be no owner.
        """
        async with self._changing(caller) as (session, own):
            row = await _find(session, caller.tenant_id, user)
            check_may_change(own, Role(row.role))
            await _end(session, row, "member.remove")
        await self._news.tell_users(row.user_id)

    async def leave(self, caller: Caller) -> None:
        """The caller is in the organisation no longer.

        Raises:
            LastOwner: they have to make somebody else owner first.
        """
        async with self._changing(caller) as (session, _):
            await _end(session, await _find(session, caller.tenant_id, str(caller.user_id)), "member.leave")
        await self._news.tell_users(caller.user_id)

    async def transfer(self, caller: Caller, user: str) -> Member:
        """Make a member owner in the caller's place, who is an admin from then on.

        Raises:
            MemberNotFound: nobody of the organisation has this id.
            RoleTooLow: the caller is no owner.
            InvalidInput: to themselves.
        """
        async with self._changing(caller) as (session, own):
            if own is not Role.OWNER:
                raise RoleTooLow(f"only an owner hands the organisation over; you are a {own}")
            row = await _find(session, caller.tenant_id, user)
            if row.user_id == caller.user_id:
                raise _to_yourself()
            before = await _find(session, caller.tenant_id, str(caller.user_id))
            row.role, before.role = Role.OWNER, Role.ADMIN
            member = _member(row, await session.get_one(User, row.user_id))
            await _note_transfer(session, caller, to=member)
        await self._news.tell_users(member.user_id, caller.user_id)
        return member

    @asynccontextmanager
    async def _changing(self, caller: Caller) -> AsyncIterator[tuple[AsyncSession, Role]]:
        """A transaction that is the only one to change these members, and the caller's role in it."""
        async with self._database.transaction() as session:
            await lock_tenant(session, caller.tenant_id)
            yield session, await current_role(session, caller)


async def member_role(session: AsyncSession, *, tenant_id: UUID, user_id: UUID) -> Role | None:
    """What the user is in the organisation; None if they are not in it."""
    role = await session.scalar(
        select(MemberRow.role).where(MemberRow.tenant_id == tenant_id, MemberRow.user_id == user_id)
    )
    return None if role is None else Role(role)


async def current_role(session: AsyncSession, caller: Caller) -> Role:
    """What the caller is in their organisation at this moment, whatever their token says.

    Raises:
        NotAMember: they have left it, or were removed.
    """
    role = await member_role(session, tenant_id=caller.tenant_id, user_id=caller.user_id)
    if role is None:
        raise NotAMember("you are no longer in this organisation; log in again")
    return role


async def _find(session: AsyncSession, tenant_id: UUID, user: str) -> MemberRow:
    user_id = parse_id(user)
    row = await session.get(MemberRow, (tenant_id, user_id)) if user_id else None
    if row is None:
        raise MemberNotFound(f"nobody in the organisation has the id {user!r}")
    return row


async def _end(session: AsyncSession, row: MemberRow, action: str) -> None:
    await _keep_an_owner(session, row)
    await session.delete(row)
    await session.flush()
    keys = (ApiKeyRow.tenant_id == row.tenant_id, ApiKeyRow.user_id == row.user_id)
    revoked = await session.scalars(delete(ApiKeyRow).where(*keys).returning(ApiKeyRow.id))
    await note_member(session, row, action, before=Role(row.role), revoked_keys=list(revoked))
    await settle_home(session, row.user_id)


async def _note_transfer(session: AsyncSession, caller: Caller, *, to: Member) -> None:
    tenant = await session.get_one(Tenant, caller.tenant_id)
    before, after = {"owner": caller.user_id}, {"owner": to.user_id}
    await note_organization(session, tenant, "organization.transfer", before=before, after=after)


async def _keep_an_owner(session: AsyncSession, going: MemberRow) -> None:
    others = (
        MemberRow.tenant_id == going.tenant_id,
        MemberRow.role == Role.OWNER,
        MemberRow.user_id != going.user_id,
    )
    if going.role == Role.OWNER and not await session.scalar(
        select(func.count()).select_from(MemberRow).where(*others)
    ):
        raise LastOwner("the organisation needs an owner: make somebody else owner first")


def _member(row: MemberRow, user: User) -> Member:
    return Member(
        user_id=user.id,
        email=user.email,
        full_name=user.full_name,
        role=Role(row.role),
        joined_at=row.created_at,
    )


def _to_yourself() -> InvalidInput:
    message = "the organisation is yours already; name another member"
    return InvalidInput(message, [FieldError(message=message, pointer="/user_id")])
