"""Registering, logging in, and staying logged in."""

from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.caller import Caller
from shared.access.client import Client
from shared.access.failed_logins import FailedLogins
from shared.access.homes import add_member, add_tenant, settle_home
from shared.access.invitations import take_invitation
from shared.access.known_networks import KnownNetworks
from shared.access.login_delays import LoginDelays
from shared.access.messages import AccessNews
from shared.access.organizations import check_is_in
from shared.access.passwords import PasswordHasher
from shared.access.permissions import Role
from shared.access.registration import check_password, normal_email
from shared.access.session_tables import SessionRow
from shared.access.sessions import (
    Renewal,
    begin_session,
    end_session_of,
    find_session_of,
    renew_session,
)
from shared.access.tables import User
from shared.access.tokens import AccessTokens
from shared.audit.actor import Actor, Target
from shared.audit.log import record_audit
from shared.database.engine import Database
from shared.errors import Conflict, InvalidInput, Unauthenticated
from shared.settings import Settings


class EmailTaken(Conflict):
    """There is an account with this email address."""

    code = "email_taken"


class WrongCredentials(Unauthenticated):
    """No account has this email address and this password."""

    code = "wrong_credentials"


class RefreshTokenInvalid(Unauthenticated):
    """The refresh token is unknown, expired, used or revoked."""

    code = "invalid_refresh_token"


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A user, and the tokens that speak for them."""

    user: User
    tenant_id: UUID  # the organisation that the session acts in
    session_id: UUID
    access_token: str
    refresh_token: str


class Accounts:
    """Everything about accounts that needs the database."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        passwords: PasswordHasher,
        tokens: AccessTokens,
        news: AccessNews,
        delays: LoginDelays,
        known: KnownNetworks,
    ) -> None:
        self._settings, self._database, self._news = settings, database, news
        self._delays, self._known = delays, known
        self._passwords, self._tokens = passwords, tokens
        self._failed = FailedLogins(database)

    async def register(
        self, *, email: str, password: str, full_name: str, client: Client, invitation: str | None = None
    ) -> User:
        """Make an account, with an organisation of its own.

        Args:
            invitation: the token of one: they are also in that organisation, and log in to it.

        Raises:
            InvalidInput: the address or the password will not do.
            EmailTaken: somebody has the address.
            PasswordsBusy: too many passwords wait to be hashed.
            InvitationNotFound, InvitationForAnother: nobody joins with this token, or somebody else.
        """
        address = normal_email(email)
        check_password(password)
        password_hash = await self._passwords.hash(password, address=client.address)
        try:
            async with self._database.transaction() as session:
                user = await add_user(
                    session, email=address, full_name=full_name.strip(), password_hash=password_hash
                )
                await _note(session, "auth.register", user)
                if invitation is not None:
                    await self._join(session, user, invitation)
                return user
        except IntegrityError:
            raise EmailTaken("an account with this email address exists") from None

    async def log_in(self, *, email: str, password: str, client: Client) -> LoggedIn:
        """Tokens for whoever knows the password.

        Raises:
            WrongCredentials: the same, and after the same time, whether or not there is such an account.
            LoginDelayed: after too many wrong passwords; likewise.
            PasswordsBusy: too many passwords wait to be checked.
        """
        here = client.address
        is_known = await self._known.knows(email, here)
        self._passwords.check_room(here, reserved=is_known)
        await self._delays.begin(email, here)
        async with self._database.transaction() as session:
            user = await session.scalar(select(User).where(User.email == _lookup_email(email)))
        stored = user.password_hash if user else None
        same = await self._passwords.matches(password, stored, address=here, reserved=is_known)
        if not same or user is None:
            self._failed.note(user)
            raise WrongCredentials("no account has this email address and this password")
        await self._delays.succeed(email, here)
        return await self.begin(user.id, client=client, method="password", knew=user.password_hash)

    async def begin(
        self, user_id: UUID, *, client: Client, method: Literal["password", "oidc"], knew: str | None = None
    ) -> LoggedIn:
        """A session of a user who proved who they are, in the organisation that they log in to.

        Args:
            method: how they proved it, for the audit log.
            knew: the hash of the password that they proved it by; None: they did so otherwise.

        Raises:
            WrongCredentials: meanwhile the user is gone, or has another password.
        """
        async with self._database.transaction() as session:
            user = await session.get(User, user_id, with_for_update={"key_share": True})
            if user is None or (knew is not None and user.password_hash != knew):
                raise WrongCredentials("no account has this email address and this password")
            home = await settle_home(session, user.id)
            begun = await begin_session(session, home, client=client, settings=self._settings)
            await _note(session, "auth.login", user, after={"method": method})
        await self._news.tell_sessions(*begun.ended)
        await self._known.remember(user.email, client.address)
        return self._logged_in(user, begun.id, tenant_id=home.tenant_id, refresh_token=begun.refresh_token)

    async def close(self) -> None:
        """Write down what has failed."""
        await self._failed.close()

    async def refresh(self, refresh_token: str, *, client: Client) -> LoggedIn:
        """Spend a refresh token for new tokens, for the same organisation. One used twice ends its session.

        Raises:
            RefreshTokenInvalid: it cannot be used, or no longer.
        """
        async with self._database.transaction() as session:
            renewed = await renew_session(session, refresh_token, client=client, settings=self._settings)
        return await self._renewed(renewed, client, has_moved=False)

    async def switch(
        self, caller: Caller, *, organization: str, refresh_token: str, client: Client
    ) -> LoggedIn:
        """Spend a refresh token of the caller's, whose session acts in another of their organisations then.

        The access token alone does not do: whoever has stolen one would have more than its minutes.

        Raises:
            OrganizationNotFound: the caller is in none with this id.
            RefreshTokenInvalid: it cannot be used, or no longer; or it is somebody else's.
        """
        async with self._database.transaction() as session:
            await check_is_in(session, caller.user_id, organization)
            renewed = await renew_session(
                session,
                refresh_token,
                client=client,
                settings=self._settings,
                of=caller.user_id,
                to=UUID(organization),
            )
            if renewed is not None and renewed.refresh_token is not None:
                await _note(session, "auth.switch", renewed.user, tenant_id=renewed.tenant_id)
        return await self._renewed(renewed, client, has_moved=True)

    async def log_out(self, refresh_token: str) -> None:
        """End the token's session. A token that is unknown is of one that ended."""
        async with self._database.transaction() as session:
            ended = await end_session_of(session, refresh_token)
            if ended is not None:
                await _note(session, "auth.logout", await session.get_one(User, ended.user_id))
        if ended is not None:
            await self._news.tell_sessions(ended.id)

    async def session_of(self, refresh_token: str) -> SessionRow | None:
        """The session that the token belongs to, spent or not; it never is another's."""
        async with self._database.transaction() as session:
            return await find_session_of(session, refresh_token)

    async def user(self, caller: Caller) -> User:
        """The caller's own account.

        Raises:
            Unauthenticated: it is gone, though the token still stands.
        """
        async with self._database.transaction() as session:
            user = await session.get(User, caller.user_id)
        if user is None:
            raise Unauthenticated("the account of this access token is gone")
        return user

    async def _join(self, session: AsyncSession, user: User, invitation: str) -> None:
        most = self._settings.max_organizations
        user.tenant_id = (await take_invitation(session, user, invitation, most=most)).tenant_id

    async def _renewed(self, renewed: Renewal | None, client: Client, *, has_moved: bool) -> LoggedIn:
        """The next tokens, after the commit: so that an end lasts, and everybody hears of it or of a move."""
        following = None if renewed is None else renewed.refresh_token
        if renewed is not None and (has_moved or following is None):
            await self._news.tell_sessions(renewed.session_id)
        if renewed is None or following is None:
            raise RefreshTokenInvalid("the refresh token is not valid; log in again")
        await self._known.remember(renewed.user.email, client.address)
        return self._logged_in(
            renewed.user, renewed.session_id, tenant_id=renewed.tenant_id, refresh_token=following
        )

    def _logged_in(self, user: User, session_id: UUID, *, tenant_id: UUID, refresh_token: str) -> LoggedIn:
        caller = Caller(user_id=user.id, tenant_id=tenant_id, session_id=session_id)
        return LoggedIn(
            user=user,
            tenant_id=tenant_id,
            session_id=session_id,
            access_token=self._tokens.issue(caller),
            refresh_token=refresh_token,
        )


async def add_user(session: AsyncSession, *, email: str, full_name: str, password_hash: str) -> User:
    """A user, and an organisation of their own.

    Raises:
        IntegrityError: the address is taken.
    """
    tenant = await add_tenant(session, full_name or email)
    user = User(tenant_id=tenant.id, email=email, full_name=full_name, password_hash=password_hash)
    session.add(user)
    await session.flush()
    await add_member(session, tenant_id=tenant.id, user_id=user.id, role=Role.OWNER)
    return user


async def _note(
    session: AsyncSession,
    action: str,
    user: User,
    *,
    tenant_id: UUID | None = None,
    after: dict[str, str] | None = None,
) -> None:
    """Write down what a user has done by what they know or hold, in the log of where they log in to."""
    target, actor = Target(type="user", id=user.id, name=user.email), Actor.user(user.id, user.email)
    log = tenant_id or user.tenant_id
    await record_audit(session, action=action, target=target, after=after, tenant_id=log, actor=actor)


def _lookup_email(email: str) -> str:
    """The spelling to look for; what is no address is looked for as well, and not found."""
    try:
        return normal_email(email)
    except InvalidInput:
        return ""
