"""Logging in at a provider: the browser goes there, and comes back with a code that proves who it is."""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from secrets import token_urlsafe
from typing import Final
from uuid import UUID

import msgspec
from redis.asyncio import Redis
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.caller import Caller
from shared.access.oidc.errors import (
    IdentityForAnother,
    LinkTokenInvalid,
    OidcOff,
    OidcRefused,
    OidcStateInvalid,
)
from shared.access.oidc.identities import add_account, has_account, link, user_of
from shared.access.oidc.identity import Identity, identity_of
from shared.access.oidc.pending import LASTS_S, Pending, PendingLogin, hashed
from shared.access.oidc.provider import Provider
from shared.access.tables import User
from shared.database.engine import Database
from shared.settings import Settings

CALLBACK: Final = "/api/v1/auth/oidc/callback"
_TOLD_MAX: Final = 200  # characters of what the provider says for people


class Begun(msgspec.Struct, frozen=True):
    """Where the browser goes to log in, and what it keeps meanwhile."""

    url: str
    cookie: str
    lasts_s: int = LASTS_S


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser brings back from the provider, and the cookie that it kept."""

    cookie: str | None
    state: str | None
    code: str | None = None
    error: str | None = None
    error_description: str | None = None
    issuer: str | None = None


class Finished(msgspec.Struct, frozen=True):
    """Who logged in, and how their tokens are to come."""

    user_id: UUID
    cookies: bool


class LinkNeeded(msgspec.Struct, frozen=True):
    """There is an account with the address already: whoever has it must say that the identity is theirs."""

    email: str
    token: str
    lasts_s: int = LASTS_S


class OidcLogins:
    """Log-ins at the provider that the settings name."""

    def __init__(self, settings: Settings, database: Database, redis: Redis) -> None:
        self._settings, self._database = settings, database
        self._pending = Pending(redis)
        self._provider = Provider(settings) if settings.oidc_issuer else None

    async def begin(self, *, cookies: bool = False) -> Begun:
        """Send a browser to the provider.

        Args:
            cookies: its tokens are to come as cookies.

        Raises:
            OidcOff: there is none.
            OidcUnavailable: it does not answer.
        """
        provider = self._known_provider()
        state, nonce, verifier, cookie = (token_urlsafe(32) for _ in range(4))
        url = await provider.log_in_url(
            {
                "response_type": "code",
                "redirect_uri": self._redirect_uri,
                "state": state,
                "nonce": nonce,
                "code_challenge": _challenge(verifier),
                "code_challenge_method": "S256",
            }
        )
        login = PendingLogin(browser_hash=hashed(cookie), nonce=nonce, verifier=verifier, cookies=cookies)
        await self._pending.put_login(state, login)
        return Begun(url, cookie)

    async def finish(self, returned: Returned) -> Finished | LinkNeeded:
        """The user who logged in; made with their first log-in, unless the address has an account.

        Raises:
            OidcOff, OidcUnavailable: there is no provider, or it does not answer.
            OidcStateInvalid: this browser began no such log-in.
            OidcRefused, OidcTokenInvalid: the provider says no, or nothing that proves anything.
            OidcEmailUnverified, OidcDomainNotAllowed: these may not log in.
        """
        provider = self._known_provider()
        login = await self._taken(returned)
        await provider.check_sender(returned.issuer)
        if returned.error is not None or not returned.code:
            raise OidcRefused(_told(returned, provider=self._settings.oidc_name))
        tokens = await provider.exchange(
            returned.code, verifier=login.verifier, redirect_uri=self._redirect_uri
        )
        claims = await provider.claims(tokens, nonce=login.nonce)
        identity = identity_of(claims, allowed_domains=self._settings.oidc_allowed_domains)
        user = await self._user(identity)
        return await self._link_needed(identity) if user is None else Finished(user.id, login.cookies)

    async def link(self, caller: Caller, token: str) -> None:
        """Let the identity that a link token was given for log in to the caller's account.

        Raises:
            LinkTokenInvalid: there is no such token, or no longer.
            IdentityForAnother: it has another address than the caller, or logs in to another account.
        """
        self._known_provider()
        identity = await self._pending.take_link(token)
        if identity is None:
            raise LinkTokenInvalid("the link token is unknown, used or too old: log in at auth/oidc again")
        async with self._database.transaction() as session:
            user = await session.get(User, caller.user_id)
            if user is None or user.email != identity.email:
                raise IdentityForAnother("this identity has another email address than your account")
            if not await link(session, user, identity):
                raise IdentityForAnother("this identity logs in to another account")

    async def close(self) -> None:
        """Close the connections to the provider."""
        if self._provider is not None:
            await self._provider.close()

    @property
    def _redirect_uri(self) -> str:
        return self._settings.public_url + CALLBACK

    def _known_provider(self) -> Provider:
        if self._provider is None:
            raise OidcOff
        return self._provider

    async def _taken(self, returned: Returned) -> PendingLogin:
        """What was remembered of the log-in, which nobody can come back for again."""
        login = await self._pending.take_login(returned.state) if returned.state else None
        browser_hash = hashed(returned.cookie or "")
        if login is None or not hmac.compare_digest(login.browser_hash, browser_hash):
            raise OidcStateInvalid
        return login

    async def _user(self, identity: Identity) -> User | None:
        """Who has the identity, from now on if need be; None where the address is somebody's account."""
        try:
            async with self._database.transaction() as session:
                return await user_of(session, identity) or await _made(session, identity)
        except IntegrityError:  # somebody was as quick, perhaps they themselves in another window
            async with self._database.transaction() as session:
                return await user_of(session, identity)

    async def _link_needed(self, identity: Identity) -> LinkNeeded:
        token = token_urlsafe(32)
        await self._pending.put_link(token, identity)
        return LinkNeeded(identity.email, token)


async def _made(session: AsyncSession, identity: Identity) -> User | None:
    """Anybody may have registered with the address before: no such account is taken for theirs."""
    return None if await has_account(session, identity) else await add_account(session, identity)


def _challenge(verifier: str) -> str:
    """RFC 7636, section 4.2."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _told(returned: Returned, *, provider: str) -> str:
    """What the provider says of a log-in that came to nothing."""
    if returned.error is None:
        return f"{provider} sent no code: begin again at auth/oidc"
    text = ": ".join(part for part in (returned.error, returned.error_description) if part)
    plain = "".join(character for character in text if character.isprintable())[:_TOLD_MAX]
    return f"{provider} refused the log-in ({plain}): begin again at auth/oidc"
