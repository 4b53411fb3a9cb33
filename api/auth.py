"""Who is calling? Turns an access token into a `Caller`, for every route that is not public.

A route is public where its handler says `opt=PUBLIC`.
"""

import hashlib
import time
from typing import Any, Final

from litestar import Request
from litestar.types import ASGIApp, Receive, Scope, Send

from shared.access.caller import Caller
from shared.access.tokens import AccessTokens, VerifiedToken
from shared.errors import Unauthenticated

PUBLIC: Final = {"public": True}

_MAX_REMEMBERED = 20_000  # tokens; about 10 MB


class RememberedTokens:
    """Verifies each access token once, and knows it again until it expires.

    Verifying costs about 40 µs, knowing again about 1 µs: a client sends the same token for minutes.
    Kept under their hashes, so that a look into memory gives no tokens away.
    """

    def __init__(self, tokens: AccessTokens) -> None:
        self._tokens = tokens
        self._known: dict[bytes, VerifiedToken] = {}

    def caller(self, token: bytes) -> Caller:
        """Whom the token speaks for.

        Raises:
            Unauthenticated: it is not valid, or no longer.
        """
        key = hashlib.sha256(token).digest()
        known = self._known.get(key)
        if known is None or known.expires <= time.time():
            self._known.pop(key, None)
            known = self._tokens.verify(token)
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            self._known[key] = known
        return known.caller


class Authentication:
    """Middleware: sets `scope["state"]["caller"]`, or refuses."""

    def __init__(self, app: ASGIApp, tokens: RememberedTokens) -> None:
        self.app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through once its caller is known."""
        if "public" not in scope["route_handler"].opt:
            scope["state"]["caller"] = self._tokens.caller(bearer_token(scope))
        await self.app(scope, receive, send)


def bearer_token(scope: Scope) -> bytes:
    """The token of the `Authorization` header (RFC 6750).

    Raises:
        Unauthenticated: there is no such header, or it holds something else.
    """
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, token = value.partition(b" ")
            if kind.lower() != b"bearer" or not token:
                raise Unauthenticated("the Authorization header must be: Bearer <access token>")
            return token.strip()
    raise Unauthenticated("this needs an access token: Authorization: Bearer <access token>")


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Who made the request, as the middleware found out."""
    caller: Caller = request.scope["state"]["caller"]
    return caller
