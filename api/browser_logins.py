"""Logging in, staying logged in and logging out in a browser, which keeps the tokens in cookies."""

from uuid import UUID

from litestar.datastructures import Cookie
from litestar.types import Scope

from api.cookie_door import CookieDoor
from shared.access.accounts import Accounts, LoggedIn, RefreshTokenInvalid
from shared.access.caller import Caller
from shared.access.client import Client
from shared.errors import Unauthenticated


class BrowserLogins:
    """What routes do for browsers; what these send goes through the same door as everything."""

    def __init__(self, door: CookieDoor, accounts: Accounts) -> None:
        self._door, self._accounts = door, accounts

    def check_login(self, scope: Scope) -> None:
        """Let a log-in by cookies through.

        Raises:
            CrossOrigin: another site's page asks for it, or nobody says which.
        """
        self._door.check_login(scope)

    def csrf_token(self, session_id: UUID) -> str:
        """What pages send with every change."""
        return self._door.csrf.issue(session_id)

    def cookies(self, logged_in: LoggedIn, *, csrf_token: str) -> list[Cookie]:
        """What the browser keeps of a log-in."""
        return self._door.cookies.of_login(
            access_token=logged_in.access_token, refresh_token=logged_in.refresh_token, csrf_token=csrf_token
        )

    def taken_back(self) -> list[Cookie]:
        """What makes it forget that."""
        return self._door.cookies.taken_back()

    async def refresh(self, scope: Scope, client: Client) -> LoggedIn:
        """Spend the refresh token of the cookie.

        Raises:
            Unauthenticated: there is none.
            RefreshTokenInvalid: it cannot be used, or no longer.
            CrossOrigin, CsrfTokenInvalid: it may have been sent against its owner's will. It is not spent.
        """
        token = await self.spendable(scope)
        try:
            return await self._accounts.refresh(token, client=client)
        except RefreshTokenInvalid as refused:
            refused.headers = {"Set-Cookie": self._door.cookies.no_refresh()}
            raise

    async def spendable(self, scope: Scope) -> str:
        """The refresh token of the cookie, which a page of ours has sent.

        Raises:
            Unauthenticated: there is none.
            CrossOrigin, CsrfTokenInvalid: it may have been sent against its owner's will.
        """
        token = self._door.cookies.refresh_token(scope["headers"])
        if not token:
            raise Unauthenticated("send `refresh_token`, or the cookie that a log-in with `cookies` has set")
        await self._check(scope, token)
        return token

    async def log_out(self, scope: Scope) -> None:
        """End the session of the cookie's refresh token, if there is one.

        Raises:
            CrossOrigin, CsrfTokenInvalid: it may have been sent against its owner's will.
        """
        token = self._door.cookies.refresh_token(scope["headers"])
        if not token:
            self._door.check_login(scope)  # another site may not make the browser forget either
            return
        await self._check(scope, token)
        await self._accounts.log_out(token)

    async def _check(self, scope: Scope, refresh_token: str) -> None:
        """A token that is nobody's does nothing, whoever sent it; what it is answered with sets cookies."""
        found = await self._accounts.session_of(refresh_token)
        if found is None:
            self._door.check_login(scope)
            return
        owner = Caller(user_id=found.user_id, tenant_id=found.tenant_id, session_id=found.id)
        self._door.check(scope, owner)
