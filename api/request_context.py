"""The outermost layer: gives each request an id, binds it to the log, and writes one line about it.

Wraps the whole application, so that answers to unknown routes carry an id and are logged too.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import getrandbits
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, reset_contextvars

from api.http_metrics import UNKNOWN_ROUTE, observe_http

log = structlog.get_logger("api.access")

QUIET = {"quiet": True}  # in a handler's `opt`: routes asked so often that a line each would drown the rest

_ACCEPTABLE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_UNFORESEEN = 500  # 503 and 504 are business as usual


class RequestContext:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        request_id = request_id_of(dict(scope["headers"]).get(b"x-request-id"))
        scope["state"]["request_id"] = request_id
        scope["state"]["path"] = scope["path"]  # the router shortens the other for a mounted route
        answer = _Answer(send, request_id)
        started = time.perf_counter()
        with bound_to_logs(request_id):
            try:
                await self._app(scope, receive, answer.send)
            finally:
                seconds = time.perf_counter() - started
                observe_http(scope.get("path_template") or UNKNOWN_ROUTE, answer.status, seconds)
                _log_access(scope, answer.status, seconds)


class _Answer:
    """Adds the request's id to the answer, and remembers its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._header = (b"x-request-id", request_id.encode())
        self.status = 0  # until the answer has begun

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], self._header]
        await self._send(message)


def request_id_of(given: bytes | None) -> str:
    """What the client or a proxy calls the request, if that can be logged and sent back as it is."""
    if given is not None and _ACCEPTABLE_ID.fullmatch(given):
        return given.decode()
    return f"{getrandbits(128):032x}"  # it is no secret, and the system's own randomness costs a call of it


@contextmanager
def bound_to_logs(request_id: str) -> Iterator[None]:
    """Have log lines in the block carry the request's id."""
    tokens = bind_contextvars(request_id=request_id)
    try:
        yield
    finally:
        reset_contextvars(**tokens)


def _log_access(scope: Scope, status: int, seconds: float) -> None:
    handler: Any = scope.get("route_handler")
    quiet = handler is not None and "quiet" in handler.opt and status != _UNFORESEEN
    level = logging.DEBUG if quiet else logging.INFO
    if not logging.root.isEnabledFor(level):
        return
    caller = scope["state"].get("caller")
    log.log(
        level,
        "request",
        method=scope.get("method"),
        path=scope["state"]["path"],
        status=status,
        duration_ms=round(seconds * 1000, 2),
        tenant_id=str(caller.tenant_id) if caller else None,
    )
