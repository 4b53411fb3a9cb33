"""Who is calling? Turns the request's credential into a `Caller`, for every route that is not public.

A route is public where its handler says `opt=PUBLIC`.
"""

from typing import Any, Final

from litestar import Request
from litestar.types import ASGIApp, Receive, Scope, Send

from api.credentials import Credentials, token_of
from shared.access.caller import Caller

PUBLIC: Final = {"public": True}


class Authentication:
    """Middleware: sets `scope["state"]["caller"]`, or refuses."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through once its caller is known."""
        if "public" not in scope["route_handler"].opt:
            credentials: Credentials = scope["litestar_app"].state.credentials
            token = token_of(scope["headers"])
            scope["state"]["caller"] = credentials.known(token) or await credentials.verify(token)
        await self.app(scope, receive, send)


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Who made the request, as the middleware found out."""
    caller: Caller = request.scope["state"]["caller"]
    return caller
