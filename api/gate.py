"""The outermost layer: who may come in by which name and way, and what every answer carries.

The predict lane asks `lets_pass` and leaves every other request to the gate.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import structlog
from litestar.enums import ScopeType
from litestar.exceptions import NotFoundException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from api.allowed_hosts import AllowedHosts
from api.cors import Cors
from api.https_only import HttpsOnly
from api.problems import problem_answer
from api.request_context import bound_to_logs, request_id_of
from api.security_headers import Fields, SecurityHeaders
from shared.settings import Settings

log = structlog.get_logger()

_ORIGIN: Final = b"origin"
_ID: Final = b"x-request-id"

_Whole = tuple[int, Fields, bytes]


class Gate:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._hosts, self._https = AllowedHosts(settings), HttpsOnly(settings)
        self._is_open = not self._hosts.names and not self._https.is_wanted and not settings.cors_origins
        self._cors, self._headers = Cors(settings.cors_origins), SecurityHeaders(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        answering = _Answering(send, self._headers, self._cors.fields(headers.get(_ORIGIN)))
        try:
            answer = self._answer(scope, headers)
            if answer is None:
                await self._app(scope, receive, answering.send)
                return
        except Exception as error:
            if answering.begun:
                raise  # uvicorn closes the connection: the client sees that this is not all
            await answering.refuse(error, scope, request_id_of(headers.get(_ID)))
        else:
            await answering.whole(answer, request_id_of(headers.get(_ID)))

    def lets_pass(self, scope: HTTPScope, headers: Mapping[bytes, bytes]) -> bool:
        """Whether nothing is to be said to this request but its answer."""
        if self._is_open:
            return True
        if self._cors.origins and _ORIGIN in headers:
            return False
        return self._hosts.is_allowed(headers.get(b"host", b"")) and self._https.holds(scope)

    def _answer(self, scope: HTTPScope, headers: Mapping[bytes, bytes]) -> _Whole | None:
        """What is answered without looking for a route.

        Raises:
            CallerError, NotFoundException: the request may not come in.
        """
        if "\x00" in scope["path"]:  # the system's calls for files fall over it
            raise NotFoundException
        if self._https.is_probe(scope):
            return None
        self._hosts.check(headers.get(b"host", b""))
        if not self._https.holds(scope):
            return HTTPStatus.PERMANENT_REDIRECT, [(b"location", self._https.location(scope, headers))], b""
        asks_first = scope["method"] == "OPTIONS" and b"access-control-request-method" in headers
        if asks_first and self._cors.origins and _ORIGIN in headers:
            return HTTPStatus.NO_CONTENT, self._cors.preflight(headers[_ORIGIN]), b""
        return None


class _Answering:
    """Adds what every answer carries."""

    def __init__(self, send: Send, headers: SecurityHeaders, further: Fields) -> None:
        self._send, self._headers, self._further = send, headers, further
        self.begun = False

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.begun = True
            message["headers"] = self._headers.joined([*message["headers"], *self._further])
        await self._send(message)

    async def refuse(self, error: Exception, scope: HTTPScope, request_id: str) -> None:
        """Answer with a problem."""
        with bound_to_logs(request_id):
            answer = problem_answer(error, path=scope["path"], request_id=request_id)
            log.info("request refused at the gate", path=scope["path"], status=answer[0])
        await self.whole(answer, request_id)

    async def whole(self, answer: _Whole, request_id: str) -> None:
        """Answer at once."""
        status, fields, body = answer
        fields = [*fields, (_ID, request_id.encode())]
        if status != HTTPStatus.NO_CONTENT:  # which has no length by definition
            fields.append((b"content-length", b"%d" % len(body)))
        await self.send({"type": "http.response.start", "status": status, "headers": fields})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})
