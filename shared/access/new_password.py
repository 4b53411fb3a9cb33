"""What follows from another password, in the transaction that sets it."""

from uuid import UUID

from sqlalchemy import delete, true
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.keys_of_user import revoke_keys_of
from shared.access.reset_tables import PasswordReset
from shared.access.session_tables import SessionRow
from shared.access.sessions import end_sessions
from shared.access.tables import User
from shared.mail.outbox import queue_mail

_CHANGED = "The password of your account was changed, and other sessions were logged out.\n\n"
_KEYS_GO_ON = "If it was not you, reset it at once, and revoke API keys that you do not know.\n"
_KEYS_ENDED = "All API keys that you had made were revoked.\n\nIf it was not you, reset it at once.\n"


async def set_password(
    session: AsyncSession,
    user: User,
    password_hash: str,
    *,
    keep: UUID | None = None,
    revoke_api_keys: bool = False,
) -> dict[str, int] | None:
    """Set it, end the user's sessions, void what could still set another, and tell them by mail.

    `AccessNews.tell_users` after the commit.

    Args:
        user: whose row is held.
        keep: the session that goes on.
        revoke_api_keys: also end every API key that they made, in whatever organisation.

    Returns:
        What the audit log tells of it beside the act.
    """
    user.password_hash = password_hash
    others = true() if keep is None else SessionRow.id != keep
    await end_sessions(session, SessionRow.user_id == user.id, others)
    await void_resets(session, user)
    told = {"revoked_api_keys": await revoke_keys_of(session, user)} if revoke_api_keys else None
    text = _CHANGED + (_KEYS_ENDED if revoke_api_keys else _KEYS_GO_ON)
    await queue_mail(session, to=user.email, subject="Your password was changed", text=text)
    return told


async def void_resets(session: AsyncSession, user: User) -> None:
    """No token that was mailed to the user sets their password any more."""
    await session.execute(delete(PasswordReset).where(PasswordReset.user_id == user.id))
