"""Passwords that were forgotten: a token is mailed, and whoever has it sets another password, once."""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.client import Client
from shared.access.login_delays import LoginDelays
from shared.access.messages import AccessNews
from shared.access.new_password import set_password
from shared.access.oidc.identities import unlink_others
from shared.access.passwords import PasswordHasher
from shared.access.registration import check_password, normal_email
from shared.access.reset_tables import PasswordReset, ResetRequest
from shared.access.tables import User
from shared.audit.actor import Actor, Target
from shared.audit.log import record_audit
from shared.database.engine import Database
from shared.errors import FieldError, InvalidInput
from shared.mail.outbox import queue_mail

MAX_LIVING = 3  # tokens of one user; further requests are answered by those
_LIVES = timedelta(hours=1)
_AT_ONCE = 50  # requests that one round answers

_TEXT = """\
Somebody asked to reset the password of your account at {url}.
If it was not you, ignore this mail: nothing has changed.

This token sets another password, once, within an hour:

    {token}

Send it with the password to {url}/api/v1/auth/password-reset/confirm:

    curl -X POST {url}/api/v1/auth/password-reset/confirm \\
      -H "Content-Type: application/json" \\
      -d '{{"token": "{token}", "new_password": "..."}}'
"""


class ResetTokenInvalid(InvalidInput):
    """The token is unknown, expired or used, or the password was changed since."""

    code = "invalid_reset_token"


class PasswordResets:
    """For whoever cannot log in."""

    def __init__(
        self, database: Database, *, passwords: PasswordHasher, news: AccessNews, delays: LoginDelays
    ) -> None:
        self._database, self._passwords = database, passwords
        self._news, self._delays = news, delays

    async def ask(self, email: str) -> None:
        """Have a token mailed, if the address has an account. The same is done here if it has none.

        Raises:
            InvalidInput: it is no address.
        """
        address = normal_email(email)
        async with self._database.transaction() as session:
            session.add(ResetRequest(email=address))

    async def confirm(
        self, token: str, *, new_password: str, client: Client, revoke_api_keys: bool = False
    ) -> None:
        """Set the password of the token's user, and end all of their sessions; if so wanted, their keys too.

        Raises:
            InvalidInput: the password will not do; the token is still good.
            ResetTokenInvalid: the token is not.
        """
        check_password(new_password, pointer="/new_password")
        async with self._database.transaction() as session:
            await _hold_user_of(session, token)
        password_hash = await self._passwords.hash(new_password, address=client.address, reserved=True)
        async with self._database.transaction() as session:
            user = await _hold_user_of(session, token)
            told = await set_password(session, user, password_hash, revoke_api_keys=revoke_api_keys)
            await unlink_others(session, user)
            await _note(session, user, after=told)
        await self._news.tell_users(user.id)
        await self._delays.succeed(user.email, client.address)


async def answer_requests(session: AsyncSession, *, public_url: str) -> None:
    """Mail tokens to those who asked and have an account. A request and its mail are one transaction."""
    asked = (
        select(ResetRequest.id)
        .order_by(ResetRequest.id)
        .limit(_AT_ONCE)
        .with_for_update(skip_locked=True)
        .cte()
    )
    taken = await session.scalars(
        delete(ResetRequest).where(ResetRequest.id == asked.c.id).returning(ResetRequest.email)
    )
    for email in sorted(taken):  # in one order, as their rows are held: two rounds do not block each other
        await _answer(session, email, public_url=public_url)


async def remove_expired_resets(session: AsyncSession) -> None:
    """Remove tokens whose time is over."""
    await session.execute(delete(PasswordReset).where(PasswordReset.expires_at <= func.now()))


async def _answer(session: AsyncSession, email: str, *, public_url: str) -> None:
    user = await session.scalar(select(User).where(User.email == email).with_for_update(key_share=True))
    if user is None or await _living(session, user.id) >= MAX_LIVING:
        return
    token = secrets.token_urlsafe(32)
    session.add(PasswordReset(user_id=user.id, token_hash=_hash(token), expires_at=func.now() + _LIVES))
    text = _TEXT.format(url=public_url, token=token)
    await queue_mail(session, to=user.email, subject="Reset your password", text=text)


async def _living(session: AsyncSession, user_id: UUID) -> int:
    query = select(func.count()).where(
        PasswordReset.user_id == user_id, PasswordReset.expires_at > func.now()
    )
    return await session.scalar(query) or 0


async def _hold_user_of(session: AsyncSession, token: str) -> User:
    """The token's user, locked: of two that come with one token the second finds it gone."""
    living = select(PasswordReset.user_id).where(
        PasswordReset.token_hash == _hash(token), PasswordReset.expires_at > func.now()
    )
    user_id = await session.scalar(living)
    user = await session.get(User, user_id, with_for_update={"key_share": True}) if user_id else None
    if user is None or await session.scalar(living) is None:
        message = "the token is unknown, was used, or is older than an hour; ask for another"
        raise ResetTokenInvalid(message, [FieldError(message=message, pointer="/token")])
    return user


async def _note(session: AsyncSession, user: User, *, after: dict[str, int] | None) -> None:
    """Write down who it turned out to be, in the log of the organisation that they log in to."""
    target, actor = Target(type="user", id=user.id, name=user.email), Actor.user(user.id, user.email)
    await record_audit(
        session,
        action="auth.password_reset",
        target=target,
        after=after,
        tenant_id=user.tenant_id,
        actor=actor,
    )


def _hash(token: str) -> str:
    """What is kept of a token, which is too random to be guessed from it."""
    return hashlib.sha256(token.encode()).hexdigest()
