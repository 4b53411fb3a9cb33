"""Invitations: mailed, listed, sent again, revoked, accepted.

A token proves that its mail was read. It works once, for the address that it was sent to, and only as long
as whoever sent it could still give the role in it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.acts import note_invitation
from shared.access.caller import Caller
from shared.access.homes import add_member
from shared.access.invitation_token import mail_subject, mail_text, new_token, token_hash
from shared.access.members import current_role, member_role
from shared.access.organizations import make_room
from shared.access.permissions import Role, RoleTooLow
from shared.access.registration import normal_email
from shared.access.roles import check_administers, check_may_give
from shared.access.tables import Tenant, User
from shared.access.team_tables import InvitationRow, MemberRow
from shared.database.engine import Database
from shared.database.now import database_now
from shared.database.tenant_lock import lock_tenant
from shared.errors import Conflict, NotAllowed, NotFound, RateLimited
from shared.ids import new_id, parse_id
from shared.mail.outbox import queue_mail
from shared.settings import Settings

# Strangers get these mails: one address gets no more than one in this time from an organisation, and what
# was revoked makes room for others only after a day.
_MAIL_AGAIN_AFTER = timedelta(minutes=1)
_ROOM_AGAIN_AFTER = timedelta(days=1)


class InvitationNotFound(NotFound):
    """No invitation of the caller's organisation has this id, or nobody's has this token."""

    code = "invitation_not_found"


class InvitationForAnother(NotAllowed):
    """The invitation was sent to another address than the account's."""

    code = "invitation_for_another"


class AlreadyInvited(Conflict):
    """An invitation to this address waits."""

    code = "already_invited"


class AlreadyMember(Conflict):
    """Whoever has this address is in the organisation."""

    code = "already_member"


class TooManyInvitations(Conflict):
    """As many invitations wait as may."""

    code = "too_many_invitations"


class InvitationJustSent(RateLimited):
    """This address was sent a mail a moment ago."""

    code = "invitation_just_sent"


class Invitations:
    """What the API does with invitations to the caller's organisation, and with those to the caller."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._ttl = timedelta(seconds=settings.invitation_ttl_s)

    async def create(self, caller: Caller, *, email: str, role: Role) -> InvitationRow:
        """Mail somebody a token with which they join.

        Raises:
            InvalidInput: this is no address.
            RoleTooLow: the caller may not give this role.
            AlreadyMember, AlreadyInvited: there is nothing to do, or to send again.
            TooManyInvitations, InvitationJustSent: wait.
        """
        address = normal_email(email)
        async with self._administering(caller) as (session, own):
            check_may_give(own, role)
            await _check_not_in(session, caller.tenant_id, address)
            row = await self._place_for(session, caller.tenant_id, address)
            row.role = role
            await self._send(session, row, caller)
            await note_invitation(session, row, "invitation.create")
        return row

    async def list_open(self, caller: Caller, *, before: UUID | None, limit: int) -> list[InvitationRow]:
        """Those that wait or have expired, the newest first; one more than `limit` if there is."""
        query = select(InvitationRow).where(
            InvitationRow.tenant_id == caller.tenant_id, InvitationRow.revoked_at.is_(None)
        )
        if before is not None:
            query = query.where(InvitationRow.id < before)
        async with self._administering(caller) as (session, _):
            return list(await session.scalars(query.order_by(InvitationRow.id.desc()).limit(limit + 1)))

    async def resend(self, caller: Caller, invitation: str) -> InvitationRow:
        """Mail a new token, good for as long as the first was; the old one is void.

        Raises:
            InvitationNotFound: no such invitation.
            RoleTooLow: the caller may not give the role in it.
            InvitationJustSent: wait.
        """
        async with self._administering(caller) as (session, own):
            row = await _find(session, caller.tenant_id, invitation)
            check_may_give(own, Role(row.role))
            await _check_pause(session, row)
            await self._send(session, row, caller)
            await note_invitation(session, row, "invitation.resend")
        return row

    async def revoke(self, caller: Caller, invitation: str) -> None:
        """The token of the invitation is void.

        Raises:
            InvitationNotFound: no such invitation.
        """
        async with self._administering(caller) as (session, _):
            row = await _find(session, caller.tenant_id, invitation)
            row.revoked_at = await database_now(session)
            await note_invitation(session, row, "invitation.revoke")

    async def accept(self, caller: Caller, token: str) -> MemberRow:
        """The caller joins.

        Raises:
            InvitationNotFound: unknown, used, revoked or expired.
            InvitationForAnother: the caller's address is not the invited one.
            TooManyOrganizations: they are in as many as they may.
        """
        async with self._database.transaction() as session:
            user = await session.get_one(User, caller.user_id)
            return await take_invitation(session, user, token, most=self._settings.max_organizations)

    async def _place_for(self, session: AsyncSession, tenant_id: UUID, address: str) -> InvitationRow:
        """The row of an invitation to be made, if there may be one more."""
        mine = InvitationRow.tenant_id == tenant_id
        await session.execute(delete(InvitationRow).where(mine, InvitationRow.expires_at <= func.now()))
        row = await session.scalar(select(InvitationRow).where(mine, InvitationRow.email == address))
        if row is not None and row.revoked_at is None:
            raise AlreadyInvited("an invitation to this address waits: send that one again, or revoke it")
        await self._make_room(session, mine)
        if row is None:
            return InvitationRow(id=new_id(), tenant_id=tenant_id, email=address)
        await _check_pause(session, row)
        return row

    async def _make_room(self, session: AsyncSession, mine: ColumnElement[bool]) -> None:
        most = self._settings.max_invitations
        counts = or_(
            InvitationRow.revoked_at.is_(None), InvitationRow.sent_at > func.now() - _ROOM_AGAIN_AFTER
        )
        query = select(func.count()).select_from(InvitationRow).where(mine, counts)
        if (await session.scalar(query) or 0) >= most:
            raise TooManyInvitations(
                f"{most} invitations wait, or were revoked within a day of being sent, which is the most"
            )

    async def _send(self, session: AsyncSession, row: InvitationRow, caller: Caller) -> None:
        now, token = await database_now(session), new_token()
        row.invited_by, row.token_hash, row.revoked_at = caller.user_id, token_hash(token), None
        row.sent_at, row.expires_at = now, now + self._ttl
        session.add(row)
        await self._queue(session, row, token)

    async def _queue(self, session: AsyncSession, row: InvitationRow, token: str) -> None:
        who = await session.get_one(User, row.invited_by)
        tenant = await session.get_one(Tenant, row.tenant_id)
        text = mail_text(
            who=who.full_name or who.email,
            organization=tenant.name,
            role=Role(row.role),
            email=row.email,
            token=token,
            url=self._settings.public_url,
            ttl=self._ttl,
        )
        await queue_mail(session, to=row.email, subject=mail_subject(tenant.name), text=text)

    @asynccontextmanager
    async def _administering(self, caller: Caller) -> AsyncIterator[tuple[AsyncSession, Role]]:
        """A transaction that is the only one to change these invitations, and the caller's role in it."""
        async with self._database.transaction() as session:
            await lock_tenant(session, caller.tenant_id)
            own = await current_role(session, caller)
            check_administers(own)
            yield session, own


async def take_invitation(session: AsyncSession, user: User, token: str, *, most: int) -> MemberRow:
    """The user joins, and the token is spent.

    Args:
        most: organisations that one user may be in.

    Raises:
        InvitationNotFound: unknown, used, revoked or expired; or its sender may not invite any more.
        InvitationForAnother: the user's address is not the invited one.
        TooManyOrganizations: they are in as many as they may.
    """
    is_meant = and_(
        InvitationRow.token_hash == token_hash(token),
        InvitationRow.revoked_at.is_(None),
        InvitationRow.expires_at > func.now(),
    )
    found = await session.scalar(select(InvitationRow).where(is_meant))
    if found is None:
        raise _void()
    if found.email != user.email:
        raise InvitationForAnother("the invitation is for another address; log in with that account")
    await lock_tenant(session, found.tenant_id)
    await _check_sender(session, found)
    await make_room(session, user.id, most=most)
    # Of two that come at once the second finds nothing left to delete.
    if await session.scalar(delete(InvitationRow).where(is_meant).returning(InvitationRow.id)) is None:
        raise _void()
    await note_invitation(session, found, "invitation.accept", user=user)
    member = await session.get(MemberRow, (found.tenant_id, user.id))
    return member or await add_member(
        session, tenant_id=found.tenant_id, user_id=user.id, role=Role(found.role)
    )


async def _check_sender(session: AsyncSession, invitation: InvitationRow) -> None:
    own = await member_role(session, tenant_id=invitation.tenant_id, user_id=invitation.invited_by)
    try:
        check_may_give(own or Role.VIEWER, Role(invitation.role))
    except RoleTooLow:
        raise _void() from None


async def _check_pause(session: AsyncSession, sent: InvitationRow) -> None:
    left = sent.sent_at + _MAIL_AGAIN_AFTER - await database_now(session)
    if left > timedelta(0):
        seconds = int(left.total_seconds()) + 1
        raise InvitationJustSent("this address was sent a mail a moment ago", retry_after_s=seconds)


async def _check_not_in(session: AsyncSession, tenant_id: UUID, address: str) -> None:
    query = select(User.id).join(MemberRow, MemberRow.user_id == User.id)
    if await session.scalar(query.where(MemberRow.tenant_id == tenant_id, User.email == address)):
        raise AlreadyMember("whoever has this address is in the organisation already")


async def _find(session: AsyncSession, tenant_id: UUID, invitation: str) -> InvitationRow:
    invitation_id = parse_id(invitation)
    row = await session.get(InvitationRow, invitation_id) if invitation_id else None
    if row is None or row.tenant_id != tenant_id or row.revoked_at is not None:
        raise InvitationNotFound(f"no invitation has the id {invitation!r}")
    return row


def _void() -> InvitationNotFound:
    return InvitationNotFound("the invitation is unknown, used, revoked or expired; ask for another")
