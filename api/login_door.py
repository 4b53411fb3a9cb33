"""Log-ins that find no room are refused before anything is done for them: under a flood, that is nearly all.

A refusal by the handler costs ten times as much, for the way to it: a flood of a thousand a second would take
the event loop from everybody else. Whoever logs in from where they did before has a seat reserved: that is
all that is looked up here, in Redis, and for any name alike.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.types import (
    ASGIApp,
    HTTPReceiveMessage,
    HTTPScope,
    Receive,
    Scope,
    Send,
    WebSocketReceiveMessage,
)
from litestar.types.asgi_types import HTTPRequestEvent

from api.client_address import Network, client_address
from shared.access.known_networks import KnownNetworks
from shared.access.passwords import PasswordHasher

_LOGIN: Final = "/api/v1/auth/login"
_HASHING: Final = frozenset({_LOGIN, "/api/v1/auth/register"})
_BODY_MAX: Final = 16 * 1024  # bytes: an address and a password of any length, however they are escaped


class _Login(msgspec.Struct):
    email: Annotated[str, msgspec.Meta(max_length=320)]


_read_login: Final = msgspec.json.Decoder(_Login).decode


class LoginDoor:
    """ASGI middleware, inside the gate, which answers what is raised here."""

    def __init__(self, app: ASGIApp, state: State, trusted: Sequence[Network]) -> None:
        self._app, self._state, self._trusted = app, state, trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, unless it wants a password hashed and too many wait for that.

        Raises:
            PasswordsBusy: so it is.
        """
        if scope["type"] == ScopeType.HTTP and scope["path"] in _HASHING:
            receive = await self._admit(scope, receive)
        await self._app(scope, receive, send)

    async def _admit(self, scope: HTTPScope, receive: Receive) -> Receive:
        """What the handler reads the body from: looking at it may have taken it."""
        passwords: PasswordHasher = self._state.passwords
        address = client_address(scope, self._trusted)
        if passwords.has_room(address):
            return receive
        if scope["path"] != _LOGIN or not _is_short(scope):
            passwords.check_room(address)
        passwords.check_room(address, reserved=True)  # before anything is read
        body = await _read(receive)
        is_known = await self._is_known(body, address)
        passwords.check_room(address, reserved=is_known)
        return _again(body, receive)

    async def _is_known(self, body: bytes, address: str) -> bool:
        known: KnownNetworks = self._state.known_networks
        try:
            email = _read_login(body).email
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return await known.knows(email, address)


def _is_short(scope: HTTPScope) -> bool:
    """Whether the body is announced as one that may be kept while others wait."""
    announced = [value for name, value in scope["headers"] if name == b"content-length"]
    return len(announced) == 1 and announced[0].isdigit() and int(announced[0]) <= _BODY_MAX


async def _read(receive: Receive) -> bytes:
    """A body that has been announced, which the server holds it to; of a client that left, what came."""
    body, more = b"", True
    while more and len(body) <= _BODY_MAX:
        message = await receive()
        if message["type"] != "http.request":
            break
        body, more = body + message["body"], message["more_body"]
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    begun = False

    async def replay() -> HTTPReceiveMessage | WebSocketReceiveMessage:
        nonlocal begun
        if begun:
            return await receive()
        begun = True
        return HTTPRequestEvent(type="http.request", body=body, more_body=False)

    return replay
