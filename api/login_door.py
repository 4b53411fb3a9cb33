"""Log-ins that find no room are refused before anything is done for them: under a flood, that is nearly all.

A refusal by the handler costs ten times as much, for the way to it: a flood of a thousand a second would take
the event loop from everybody else.
"""

from typing import Final

from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

_HASHING: Final = frozenset({"/api/v1/auth/login", "/api/v1/auth/register"})


class LoginDoor:
    """ASGI middleware, inside the gate, which answers what is raised here."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, unless it wants a password hashed and too many wait for that.

        Raises:
            PasswordsBusy: so it is.
        """
        if scope["type"] == ScopeType.HTTP and scope["path"] in _HASHING:
            self._state.passwords.check_room()
        await self._app(scope, receive, send)
