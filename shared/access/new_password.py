"""What follows from another password, in the transaction that sets it."""

from uuid import UUID

from sqlalchemy import delete, true
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.reset_tables import PasswordReset
from shared.access.session_tables import SessionRow
from shared.access.sessions import end_sessions
from shared.access.tables import User
from shared.mail.outbox import queue_mail


async def set_password(
    session: AsyncSession, user: User, password_hash: str, *, keep: UUID | None = None
) -> None:
    """Set it, end the user's sessions, void what could still set another, and tell them by mail.

    `AccessNews.tell_users` after the commit.

    Args:
        user: whose row is held.
        keep: the session that goes on.
    """
    user.password_hash = password_hash
    others = true() if keep is None else SessionRow.id != keep
    await end_sessions(session, SessionRow.user_id == user.id, others)
    await void_resets(session, user)
    await queue_mail(
        session,
        to=user.email,
        subject="Your password was changed",
        text="The password of your account was changed, and other sessions were logged out.\n\n"
        "If it was not you, reset it at once, and revoke API keys that you do not know.\n",
    )


async def void_resets(session: AsyncSession, user: User) -> None:
    """No token that was mailed to the user sets their password any more."""
    await session.execute(delete(PasswordReset).where(PasswordReset.user_id == user.id))
