"""Sessions in their tables: begun, renewed, ended, known again. Tell of an end or a move after the commit."""

from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.caller import Caller
from shared.access.client import Client
from shared.access.members import member_role
from shared.access.permissions import Role
from shared.access.session_tables import RefreshToken, SessionRow
from shared.access.tables import User
from shared.access.team_tables import MemberRow
from shared.access.tokens import new_refresh_token, refresh_token_hash
from shared.ids import new_id
from shared.settings import Settings

_NOTE_USE_EVERY = timedelta(minutes=1)
_REMOVED_AT_ONCE = 500


class Begun(msgspec.Struct, frozen=True):
    """A session that begins, and those that had to make room for it."""

    id: UUID
    refresh_token: str
    ended: tuple[UUID, ...]


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a session when one of its refresh tokens came."""

    session_id: UUID
    user: User
    tenant_id: UUID  # that it acts in
    refresh_token: str | None  # the next; None where the session is over


async def begin_session(
    session: AsyncSession, home: MemberRow, *, client: Client, settings: Settings
) -> Begun:
    """A session of a member, in their organisation.

    The caller holds the user's row: of two at once both would find the last place free.
    """
    ended = await _make_room(session, home.user_id, most=settings.max_sessions)
    row = SessionRow(
        id=new_id(),
        user_id=home.user_id,
        tenant_id=home.tenant_id,
        expires_at=func.now() + _unrenewed(settings),
        last_used_at=func.now(),
        created_at=func.now(),
        address=client.address,
        user_agent=client.user_agent,
    )
    session.add(row)
    await session.flush()
    return Begun(row.id, _add_token(session, row.id), ended)


async def renew_session(
    session: AsyncSession,
    refresh_token: str,
    *,
    client: Client,
    settings: Settings,
    of: UUID | None = None,
    to: UUID | None = None,
) -> Renewal | None:
    """Spend a refresh token for the next.

    A token that is used twice was stolen, from its owner or by them: nobody can tell who is who, so that
    the session ends. So it does where its user is in its organisation no longer.

    Args:
        of: only a session of this user.
        to: the organisation that it acts in from now on; None: where it did.

    Returns:
        None where nobody knows the token, or it is another user's.
    """
    row = await _hold_session_of(session, refresh_token)
    if row is None or of not in {None, row.user_id}:
        return None
    user, tenant_id = await session.get_one(User, row.user_id), to or row.tenant_id
    goes_on = (
        await _spend(session, refresh_token)
        and await member_role(session, tenant_id=tenant_id, user_id=user.id) is not None
        and await _prolong(session, row.id, tenant_id=tenant_id, client=client, settings=settings)
    )
    if not goes_on:
        await end_sessions(session, SessionRow.id == row.id)
    following = _add_token(session, row.id) if goes_on else None
    return Renewal(session_id=row.id, user=user, tenant_id=tenant_id, refresh_token=following)


async def find_session_of(session: AsyncSession, refresh_token: str) -> SessionRow | None:
    """The session of a refresh token, spent or not; None where nobody knows it."""
    return await session.scalar(_session_of(refresh_token))


async def end_session_of(session: AsyncSession, refresh_token: str) -> SessionRow | None:
    """End the session of a refresh token, spent or not, and tell what it was; None where nobody knows it."""
    row = await _hold_session_of(session, refresh_token)
    if row is None:
        return None
    await end_sessions(session, SessionRow.id == row.id)
    return row


async def end_sessions(session: AsyncSession, *which: ColumnElement[bool]) -> list[UUID]:
    """End all for which this holds. Of several, hold the user's row first."""
    return list(await session.scalars(delete(SessionRow).where(*which).returning(SessionRow.id)))


async def remove_expired_sessions(session: AsyncSession) -> None:
    """Remove some whose time is over, but for those that somebody is at."""
    over = select(SessionRow.id).where(SessionRow.expires_at <= func.now()).limit(_REMOVED_AT_ONCE)
    await end_sessions(session, SessionRow.id.in_(over.with_for_update(skip_locked=True)))


async def find_session_caller(session: AsyncSession, session_id: UUID) -> Caller | None:
    """Whom a session speaks for, where it acts and in the role that they have there now.

    None if it ended, or they are in its organisation no longer. Notes that it was used, to the minute. What a
    user may do is found out here, each few seconds, and is in no token.
    """
    in_it = and_(MemberRow.user_id == SessionRow.user_id, MemberRow.tenant_id == SessionRow.tenant_id)
    member = await session.scalar(
        select(MemberRow)
        .join(SessionRow, in_it)
        .where(SessionRow.id == session_id, SessionRow.expires_at > func.now())
    )
    if member is None:
        return None
    await _note_use(session, session_id)
    return Caller(
        user_id=member.user_id, tenant_id=member.tenant_id, role=Role(member.role), session_id=session_id
    )


async def _hold_session_of(session: AsyncSession, refresh_token: str) -> SessionRow | None:
    """The token's session, locked: of two that come at once the second sees what the first did."""
    return await session.scalar(_session_of(refresh_token).with_for_update(of=SessionRow))


def _session_of(refresh_token: str) -> Select[SessionRow]:
    return (
        select(SessionRow)
        .join(RefreshToken, RefreshToken.session_id == SessionRow.id)
        .where(RefreshToken.token_hash == refresh_token_hash(refresh_token))
    )


async def _spend(session: AsyncSession, refresh_token: str) -> bool:
    """False where it was spent before."""
    found = await session.scalar(
        update(RefreshToken)
        .where(RefreshToken.token_hash == refresh_token_hash(refresh_token), RefreshToken.used_at.is_(None))
        .values(used_at=func.now())
        .returning(RefreshToken.id)
    )
    return found is not None


async def _prolong(
    session: AsyncSession, session_id: UUID, *, tenant_id: UUID, client: Client, settings: Settings
) -> bool:
    """On the database's clock; False where its time was over."""
    latest = SessionRow.created_at + timedelta(seconds=settings.session_ttl_s)
    found = await session.scalar(
        update(SessionRow)
        .where(SessionRow.id == session_id, SessionRow.expires_at > func.now())
        .values(
            tenant_id=tenant_id,
            expires_at=func.least(func.now() + _unrenewed(settings), latest),
            last_used_at=func.now(),
            address=client.address,
            user_agent=client.user_agent,
        )
        .returning(SessionRow.id)
    )
    return found is not None


async def _make_room(session: AsyncSession, user_id: UUID, *, most: int) -> tuple[UUID, ...]:
    """End the user's sessions that expired, and of the others those used longest ago, past `most` - 1."""
    kept = (
        select(SessionRow.id)
        .where(SessionRow.user_id == user_id, SessionRow.expires_at > func.now())
        .order_by(SessionRow.last_used_at.desc(), SessionRow.id.desc())
        .limit(most - 1)
    )
    ended = await end_sessions(session, SessionRow.user_id == user_id, SessionRow.id.not_in(kept))
    return tuple(ended)


async def _note_use(session: AsyncSession, session_id: UUID) -> None:
    await session.execute(
        update(SessionRow)
        .where(SessionRow.id == session_id, SessionRow.last_used_at < func.now() - _NOTE_USE_EVERY)
        .values(last_used_at=func.now())
    )


def _add_token(session: AsyncSession, session_id: UUID) -> str:
    text = new_refresh_token()
    session.add(RefreshToken(session_id=session_id, token_hash=refresh_token_hash(text)))
    return text


def _unrenewed(settings: Settings) -> timedelta:
    return timedelta(seconds=min(settings.refresh_token_ttl_s, settings.session_ttl_s))
