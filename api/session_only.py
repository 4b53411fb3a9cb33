"""The routes that are not for API keys."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from shared.access.session_needed import refuse_keys


def session_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """For the `guards` of a router or a handler, beside `security=SESSION_ONLY`.

    Raises:
        SessionNeeded: the caller came with an API key.
    """
    refuse_keys(connection.scope["state"]["caller"], "this takes somebody who logged in, not an API key")
