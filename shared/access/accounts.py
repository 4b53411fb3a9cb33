"""Registering, logging in, and staying logged in."""

from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.caller import Caller
from shared.access.failed_logins import FailedLogins
from shared.access.homes import add_member, add_tenant, settle_home
from shared.access.invitations import take_invitation
from shared.access.members import member_role
from shared.access.organizations import check_is_in
from shared.access.passwords import PasswordHasher
from shared.access.permissions import Role
from shared.access.registration import check_password, normal_email
from shared.access.tables import RefreshToken, User
from shared.access.tokens import AccessTokens, new_refresh_token, refresh_token_hash
from shared.audit.actor import Actor, Target
from shared.audit.log import record_audit
from shared.database.engine import Database
from shared.errors import Conflict, InvalidInput, Unauthenticated
from shared.ids import new_id
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
    tenant_id: UUID  # the organisation that the tokens are for
    access_token: str
    refresh_token: str


class Accounts:
    """Everything about accounts that needs the database."""

    def __init__(
        self, settings: Settings, database: Database, *, passwords: PasswordHasher, tokens: AccessTokens
    ) -> None:
        self._most_organizations = settings.max_organizations
        self._refresh_ttl = timedelta(seconds=settings.refresh_token_ttl_s)
        self._database, self._passwords, self._tokens = database, passwords, tokens
        self._failed = FailedLogins(database)

    async def register(
        self, *, email: str, password: str, full_name: str, invitation: str | None = None
    ) -> User:
        """Make an account, with an organisation of its own.

        Args:
            invitation: the token of one: they are also in that organisation, and log in to it.

        Raises:
            InvalidInput: the address or the password will not do.
            EmailTaken: somebody has the address.
            InvitationNotFound, InvitationForAnother: nobody joins with this token, or somebody else.
        """
        address = normal_email(email)
        check_password(password)
        password_hash = await self._passwords.hash(password)
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

    async def log_in(self, *, email: str, password: str) -> LoggedIn:
        """Tokens for whoever knows the password.

        Raises:
            WrongCredentials: the same, and after the same time, whether or not there is such an account.
        """
        async with self._database.transaction() as session:
            user = await session.scalar(select(User).where(User.email == _lookup_email(email)))
        if not await self._passwords.matches(password, user.password_hash if user else None) or user is None:
            self._failed.note(user)
            raise WrongCredentials("no account has this email address and this password")
        async with self._database.transaction() as session:
            home = await settle_home(session, user.id)
            await _note(session, "auth.login", user)
            caller = Caller(user_id=user.id, tenant_id=home.tenant_id, role=Role(home.role))
            return self._logged_in(session, user, caller=caller, family_id=new_id())

    async def close(self) -> None:
        """Write down what has failed."""
        await self._failed.close()

    async def refresh(self, refresh_token: str) -> LoggedIn:
        """Spend a refresh token for new tokens, for the same organisation.

        A token that is used twice was stolen, from its owner or by them: nobody can tell who is who, so
        that every token descended from the same log-in is revoked.

        Raises:
            RefreshTokenInvalid: it cannot be used, or no longer.
        """
        async with self._database.transaction() as session:
            renewed = await self._renew(session, refresh_token)
        # Raised after the commit, so that a revocation lasts.
        if renewed is None:
            raise RefreshTokenInvalid("the refresh token is not valid; log in again")
        return renewed

    async def switch(self, caller: Caller, *, organization: str, refresh_token: str) -> LoggedIn:
        """Spend a refresh token of the caller's for tokens for another of their organisations.

        The access token alone does not do: whoever has stolen one would have more than its minutes.

        Raises:
            OrganizationNotFound: the caller is in none with this id.
            RefreshTokenInvalid: it cannot be used, or no longer; or it is somebody else's.
        """
        async with self._database.transaction() as session:
            await check_is_in(session, caller.user_id, organization)
            switched = await self._renew(
                session, refresh_token, user_id=caller.user_id, to=UUID(organization)
            )
        if switched is None:
            raise RefreshTokenInvalid("the refresh token is not valid; log in again")
        return switched

    async def log_out(self, refresh_token: str) -> None:
        """Revoke the token's whole family. A token that is unknown is as good as revoked."""
        async with self._database.transaction() as session:
            token = await _find_token(session, refresh_token)
            if token is not None:
                await _revoke_family(session, token.family_id)
                await _note(session, "auth.logout", await session.get_one(User, token.user_id))

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
        member = await take_invitation(session, user, invitation, most=self._most_organizations)
        user.tenant_id = member.tenant_id

    async def _renew(
        self,
        session: AsyncSession,
        refresh_token: str,
        *,
        user_id: UUID | None = None,
        to: UUID | None = None,
    ) -> LoggedIn | None:
        """Tokens for the organisation that the token is for, or for `to`; of `user_id` alone, if given."""
        token = await _find_token(session, refresh_token)
        if token is None or user_id not in {None, token.user_id}:
            return None
        if token.used_at or token.revoked_at:
            await _revoke_family(session, token.family_id)
            return None
        # One statement decides on the database's clock, and spends the token in the same breath.
        spent = await session.scalar(
            update(RefreshToken)
            .where(RefreshToken.id == token.id, RefreshToken.expires_at > func.now())
            .values(used_at=func.now())
            .returning(RefreshToken.id)
        )
        user = await session.get(User, token.user_id)
        tenant_id = to or token.tenant_id
        role = await member_role(session, tenant_id=tenant_id, user_id=token.user_id)
        if spent is None or user is None or role is None:
            return None
        caller = Caller(user_id=user.id, tenant_id=tenant_id, role=role)
        return self._logged_in(session, user, caller=caller, family_id=token.family_id)

    def _logged_in(self, session: AsyncSession, user: User, *, caller: Caller, family_id: UUID) -> LoggedIn:
        refresh_token = new_refresh_token()
        session.add(
            RefreshToken(
                user_id=user.id,
                tenant_id=caller.tenant_id,
                family_id=family_id,
                token_hash=refresh_token_hash(refresh_token),
                expires_at=func.now() + self._refresh_ttl,
            )
        )
        return LoggedIn(
            user=user,
            tenant_id=caller.tenant_id,
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


async def _note(session: AsyncSession, action: str, user: User) -> None:
    """Write down what a user has done who came without an access token."""
    target, actor = Target(type="user", id=user.id, name=user.email), Actor.user(user.id, user.email)
    await record_audit(session, action=action, target=target, tenant_id=user.tenant_id, actor=actor)


def _lookup_email(email: str) -> str:
    """The spelling to look for; what is no address is looked for as well, and not found."""
    try:
        return normal_email(email)
    except InvalidInput:
        return ""


async def _find_token(session: AsyncSession, refresh_token: str) -> RefreshToken | None:
    """The token's row, locked: of two that use it at once the second sees that it was used."""
    query = select(RefreshToken).where(RefreshToken.token_hash == refresh_token_hash(refresh_token))
    return await session.scalar(query.with_for_update())


async def _revoke_family(session: AsyncSession, family_id: UUID) -> None:
    await session.execute(
        update(RefreshToken)
        .where(RefreshToken.family_id == family_id, RefreshToken.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
