"""Whom a browser speaks for by the cookie of its log-in, and whether it was not made to.

Browsers send cookies by themselves, also when another site's page asks. So reading is for our own pages and
for links, and a change takes a page of ours and the session's CSRF token.
"""

from typing import Final

import structlog
from litestar.types import Scope

from api.browser_cookies import BrowserCookies
from api.client_address import client_address, trusted_networks
from api.credentials import Credentials, SessionEnded
from api.own_pages import OwnPages
from api.presented_token import NEEDED
from shared.access.caller import Caller
from shared.access.csrf_tokens import CsrfTokens
from shared.access.forged_requests import ForgedRequests
from shared.access.tokens import InvalidToken
from shared.errors import NotAllowed, Unauthenticated
from shared.settings import Settings

log = structlog.get_logger()

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TOKEN: Final = b"x-csrf-token"
_SHOWN_MAX: Final = 200  # characters of an origin that are logged


class CsrfTokenInvalid(NotAllowed):
    """A change that is asked for by cookie needs the CSRF token of the same log-in."""

    code = "csrf_token_invalid"


class CookieDoor:
    """For requests without a token or key in a header."""

    def __init__(self, settings: Settings) -> None:
        self.cookies, self.csrf = (
            BrowserCookies(settings),
            CsrfTokens(settings.secret_key, previous=settings.secret_key_previous),
        )
        self._pages, self._trusted = OwnPages(settings), trusted_networks(settings.trusted_proxies)
        self._credentials: Credentials
        self._forged: ForgedRequests

    def open(self, credentials: Credentials, forged: ForgedRequests) -> None:
        """Let in by these from now on."""
        self._credentials, self._forged = credentials, forged

    async def caller(self, scope: Scope) -> Caller:
        """Whose session the request's cookie is of.

        Raises:
            Unauthenticated: there is none, or nobody's.
            CrossOrigin, CsrfTokenInvalid: it may have been sent against its owner's will.
        """
        token = self.cookies.access_token(scope["headers"])
        if not token:
            raise Unauthenticated(NEEDED)
        caller = await self._known(token)
        self.check(scope, caller)
        return caller

    def check(self, scope: Scope, caller: Caller) -> None:
        """Let the request of a session through, if a page of ours has sent it.

        Raises:
            CrossOrigin, CsrfTokenInvalid: nobody can tell that one did. Written down.
        """
        try:
            if scope.get("method") in READING:
                self._pages.check_reading(scope)
                return
            self._pages.check(scope)
            if caller.session_id is None or not self.csrf.is_of(caller.session_id, _csrf_token(scope)):
                raise CsrfTokenInvalid(
                    "a change that is asked for by cookie needs the header X-CSRF-Token, with what "
                    "auth/csrf answers to this log-in"
                )
        except NotAllowed as refused:
            _log_refusal(scope, refused, caller=caller)
            self._forged.note(caller, address=client_address(scope, self._trusted))
            raise

    def check_login(self, scope: Scope) -> None:
        """Let a log-in through, which has no session yet: nobody is logged in as somebody else by a page.

        Raises:
            CrossOrigin: another site's page asks for it, or nobody says which.
        """
        try:
            self._pages.check(scope)
        except NotAllowed as refused:
            _log_refusal(scope, refused, caller=None)
            raise

    async def _known(self, token: bytes) -> Caller:
        try:
            caller = self._credentials.known(token) or await self._credentials.verify(token)
        except SessionEnded as ended:
            ended.headers = {"Set-Cookie": self.cookies.no_session()}
            raise
        if caller.session_id is None:
            raise InvalidToken("the cookie holds an API key: those are sent in a header")
        return caller


def _csrf_token(scope: Scope) -> bytes:
    return b"".join(value for name, value in scope["headers"] if name == _TOKEN)


def _log_refusal(scope: Scope, refused: NotAllowed, *, caller: Caller | None) -> None:
    headers = dict(scope["headers"])
    log.warning(
        "request by cookie refused",
        code=refused.code,
        path=scope["path"],
        origin=headers.get(b"origin", b"").decode("latin-1")[:_SHOWN_MAX],
        user_id=str(caller.user_id) if caller else None,
    )
