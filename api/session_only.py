"""What is not for API keys: whoever holds one could otherwise make more of it."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from shared.access.api_keys import SessionNeeded


def session_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """For the `guards` of a router or a handler, beside `security=SESSION_ONLY`.

    Raises:
        SessionNeeded: the caller came with an API key.
    """
    if connection.scope["state"]["caller"].key_id is not None:
        raise SessionNeeded("this takes somebody who logged in, not an API key")
