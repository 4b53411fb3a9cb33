"""What somebody who is logged in changes about their account."""

from collections.abc import Mapping
from uuid import UUID

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.accounts import EmailTaken
from shared.access.caller import Caller
from shared.access.client import Client
from shared.access.login_delays import LoginDelays
from shared.access.messages import AccessNews
from shared.access.new_password import set_password, void_resets
from shared.access.organizations import check_is_in
from shared.access.own_sessions import require_session
from shared.access.passwords import PasswordHasher
from shared.access.registration import check_password, normal_email
from shared.access.tables import User
from shared.audit.actor import Target
from shared.audit.log import record_audit
from shared.database.engine import Database
from shared.errors import NotAllowed, Unauthenticated
from shared.mail.outbox import queue_mail


class WrongPassword(NotAllowed):
    """Not the caller's present password."""

    code = "wrong_password"


class AccountChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be another; None stays."""

    full_name: str | None = None
    email: str | None = None
    home: UUID | None = None  # the organisation to log in to


class OwnAccount:
    """Changes that need the password again count as tries to log in: a stolen token guesses no faster."""

    def __init__(
        self, database: Database, *, passwords: PasswordHasher, news: AccessNews, delays: LoginDelays
    ) -> None:
        self._database, self._passwords = database, passwords
        self._news, self._delays = news, delays

    async def change(self, caller: Caller, wanted: AccountChange, *, password: str, client: Client) -> User:
        """Change the name, the home, or the address, which takes the password: all that is given, or nothing.

        Raises:
            SessionNeeded: the caller came with an API key.
            InvalidInput: the address is none.
            OrganizationNotFound: the caller is in none with the id of the home to be.
            WrongPassword, LoginDelayed: the password is not theirs.
            EmailTaken: somebody else has the address.
        """
        require_session(caller)
        email = None if wanted.email is None else normal_email(wanted.email)
        user = await self._read(caller)
        if email not in {None, user.email}:
            await self._prove(user, password, client)
        try:
            async with self._database.transaction() as session:
                if wanted.home is not None:  # before the user's row, as whoever ends memberships holds them
                    await check_is_in(session, user.id, str(wanted.home), lock=True)
                user = await _hold(session, user)
                await _change(session, user, full_name=wanted.full_name, email=email)
                if wanted.home not in {None, user.tenant_id}:
                    await _move_home(session, user, wanted.home)
        except IntegrityError:
            raise EmailTaken("an account with this email address exists") from None
        return user

    async def change_password(
        self, caller: Caller, *, old: str, new: str, client: Client, revoke_api_keys: bool = False
    ) -> None:
        """Set another password, and end every session of the caller but this; if so wanted, their keys too.

        Raises:
            SessionNeeded: the caller came with an API key.
            InvalidInput: the new one will not do.
            WrongPassword, LoginDelayed: the old one is not theirs.
        """
        keep = require_session(caller)
        check_password(new, pointer="/new_password")
        user = await self._read(caller)
        await self._prove(user, old, client)
        password_hash = await self._passwords.hash(new, address=client.address, reserved=True)
        async with self._database.transaction() as session:
            user = await _hold(session, user)
            told = await set_password(
                session, user, password_hash, keep=keep, revoke_api_keys=revoke_api_keys
            )
            await _note(session, "auth.password_change", user, after=told)
        await self._news.tell_users(user.id)

    async def _read(self, caller: Caller) -> User:
        async with self._database.transaction() as session:
            user = await session.get(User, caller.user_id)
        if user is None:
            raise Unauthenticated("the account of this access token is gone")
        return user

    async def _prove(self, user: User, password: str, client: Client) -> None:
        await self._delays.begin(user.email, client.address)
        if not await self._passwords.matches(
            password, user.password_hash, address=client.address, reserved=True
        ):
            raise _wrong()
        await self._delays.succeed(user.email, client.address)


async def _hold(session: AsyncSession, seen: User) -> User:
    """The user's row, locked; as long as the password that was looked at is still theirs."""
    user = await session.get(User, seen.id, with_for_update={"key_share": True})
    if user is None or user.password_hash != seen.password_hash:
        raise _wrong()
    return user


async def _change(session: AsyncSession, user: User, *, full_name: str | None, email: str | None) -> None:
    was = _shown(user)
    if full_name is not None:
        user.full_name = full_name.strip()
    if email is not None and email != user.email:
        await _change_address(session, user, email)
    if _shown(user) != was:
        await _note(session, "user.change", user, before=was, after=_shown(user))


async def _move_home(session: AsyncSession, user: User, home: UUID) -> None:
    """The organisation is told of it in its own log; the one of before is none of its business."""
    user.tenant_id = home
    await _note(session, "user.change", user, after={"home_organization_id": str(home)}, tenant_id=home)


async def _change_address(session: AsyncSession, user: User, email: str) -> None:
    before, user.email = user.email, email
    await session.flush()
    await void_resets(session, user)  # they were mailed to the address of before
    for address in (before, email):
        await queue_mail(
            session,
            to=address,
            subject="Your email address was changed",
            text=f"You now log in as {email}, and no longer as {before}.\n\n"
            "If it was not you, tell whoever runs this platform.\n",
        )


def _shown(user: User) -> dict[str, str]:
    return {"full_name": user.full_name, "email": user.email}


async def _note(
    session: AsyncSession,
    action: str,
    user: User,
    *,
    before: dict[str, str] | None = None,
    after: Mapping[str, str | int] | None = None,
    tenant_id: UUID | None = None,
) -> None:
    target = Target(type="user", id=user.id, name=user.email)
    await record_audit(session, action=action, target=target, before=before, after=after, tenant_id=tenant_id)


def _wrong() -> WrongPassword:
    return WrongPassword("this is not your present password")
