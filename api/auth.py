"""Who is calling? Turns the request's credential into a `Caller`, for every route that is not public.

A route is public where its handler says `opt=PUBLIC`; every other says what it takes (`api/permissions.py`).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from litestar import Request
from litestar.types import ASGIApp, Receive, Scope, Send

from api.client_address import Network, client_address
from api.cookie_door import CookieDoor
from api.credentials import Credentials
from api.kept_private import kept_private
from api.permissions import check_route
from api.presented_token import sent_token
from shared.access.acting import Acting, acting, acting_as
from shared.access.caller import Caller
from shared.access.client import Client
from shared.errors import Unauthenticated

PUBLIC: Final = {"public": True}

Holds = Callable[[], Awaitable[bool]]


class Authentication:
    """Middleware: sets `scope["state"]["caller"]`, or refuses; the rest is done on the caller's behalf."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self.app, self._trusted = app, trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through once its caller is known."""
        caller = None
        if "public" not in scope["route_handler"].opt:
            caller = scope["state"]["caller"] = await _caller(scope)
            check_route(scope, caller)
            if comes_by_cookie(scope):
                send = kept_private(send)
        with acting_as(Acting(caller, client_address(scope, self._trusted))):
            await self.app(scope, receive, send)


async def _caller(scope: Scope) -> Caller:
    state = scope["litestar_app"].state
    token = sent_token(scope["headers"])
    if not token:
        door: CookieDoor = state.cookie_door
        return await door.caller(scope)
    credentials: Credentials = state.credentials
    return credentials.known(token) or await credentials.verify(token)


def comes_by_cookie(scope: Scope) -> bool:
    """Whether the request, whose caller is known, names them by a cookie alone."""
    return not sent_token(scope["headers"])


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Who made the request, as the middleware found out."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def still_holds(request: Request[Any, Any, Any]) -> Holds:
    """For answers that last: whether the request's credential is good yet, and for the same as it was."""
    caller = caller_of(request)

    async def holds() -> bool:
        try:
            return await _caller(request.scope) == caller
        except Unauthenticated:
            return False

    return holds


def client_of(request: Request[Any, Any, Any]) -> Client:
    """Where the request comes from, as far as it says."""
    who = acting()
    return Client.at(who.address if who else "", user_agent=request.headers.get("user-agent"))
