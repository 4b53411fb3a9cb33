"""Uvicorn's protocol, which has no limits of its own but for idle connections, with limits.

A head has to be complete in time and to be of one meaning; a body has to come at a pace, averaged over a
minute; an answer has to be read. Nothing is timed while we are the ones who wait: for a model, or for a disk.
One look a second at all connections costs less than a timer for each request.
"""

import asyncio
import sys
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.connection_guard import ConnectionGuard
from api.problems import problem_answer
from api.request_context import request_id_of
from api.wire_answer import wire_answer
from api.wire_errors import MalformedHttp, RequestTooSlow, TooManyConnections
from shared.errors import PlatformError

# What the client is about. Numbers, not an enum: they are compared several times with each request.
_IDLE: Final = 0  # between two requests
_HEAD: Final = 1
_BODY: Final = 2
_WAITING: Final = 3  # it has sent all

# That wait behind an unanswered one. Uvicorn stops reading then, but what has been read may hold thousands,
# each of which is parsed, and takes some KiB, before its turn has come.
_MOST_PIPELINED: Final = 64


class GuardedProtocol(HttpToolsProtocol):
    """A connection within limits."""

    guard: ConnectionGuard  # of the process

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Somebody has connected."""
        super().connection_made(transport)
        self._phase, self._since = _HEAD, self.guard.now
        self._chunk_bytes = self._head_bytes = self._body_bytes = 0
        self._side_bytes = self._fields = 0  # what came since a piece of the body; fields of the head
        self._credit_s = self.guard.body_grace_s
        self._patience_s, self._unsent_bytes = self.guard.send_timeout_s, 0
        self._refusal: PlatformError | None = None
        self._address = self.client[0] if self.client else ""
        self._counted = False
        try:
            self.guard.take(self._address)
            self._counted = True
        except TooManyConnections as error:
            self.refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended, whoever ended it."""
        if self._counted:
            self._counted = False
            self.guard.give_back(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something has come."""
        if self._refusal is not None:
            return
        self._chunk_bytes = len(data)
        if self._phase == _BODY:
            self._body_bytes += len(data)
            self._side_bytes += len(data)
        elif self._phase == _HEAD:
            self._head_bytes += len(data)
        else:
            self._begin_head()
        super().data_received(data)
        if self._phase == _HEAD and self._head_bytes > self.guard.head_rules.max_bytes:
            self.refuse(self.guard.head_rules.too_large())
        elif self._phase == _BODY and self._side_bytes > self.guard.head_rules.max_bytes:
            self.refuse(MalformedHttp("a chunk has more to say of itself than is read; send its bytes alone"))

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        if self._phase != _HEAD:
            self._begin_head()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._side_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """The head is there."""
        try:
            rules = self.guard.head_rules
            rules.check(self.url, self.headers, version=self.parser.get_http_version())
            if self._chunk_bytes + self._head_bytes > rules.max_bytes:
                rules.check_size(self.url, self.headers)
            if len(self.pipeline) >= _MOST_PIPELINED:
                raise MalformedHttp(f"more than {_MOST_PIPELINED} requests wait: read the answers first")
        except PlatformError as error:
            self._refusal = error
            raise
        self._phase, self._fields = _BODY, len(self.headers)
        self._body_bytes = self._side_bytes = 0
        self._credit_s = self.guard.body_grace_s
        self.begin_request()

    def on_message_complete(self) -> None:
        """The body is there."""
        if len(self.headers) != self._fields:  # behind a body in chunks, too late to be checked
            self._refusal = MalformedHttp("header fields after the body are not read; send them before it")
            raise self._refusal
        self._phase = _WAITING
        self.end_request()
        self._be_idle_if_answered()

    def on_response_complete(self) -> None:
        """The answer is written."""
        super().on_response_complete()
        self._be_idle_if_answered()

    def begin_request(self) -> None:
        """Begin on a request whose head is there and fits."""
        super().on_headers_complete()

    def end_request(self) -> None:
        """The request is there in whole."""
        super().on_message_complete()

    # Refusing

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  ours says more
        """The parser, or one of the calls above, has refused what came."""
        ours, self._refusal = self._refusal, None
        self.refuse(ours or MalformedHttp(f"this is not HTTP/1.1: {sys.exception()}"))

    def refuse(self, error: PlatformError) -> None:
        """Answer with a problem, and close."""
        if self._refusal is not None or self.transport.is_closing():
            return
        self._refusal = error
        if not self._is_spoken_for():
            request_id = request_id_of(None)
            status, fields, body = problem_answer(error, path=self._path(), request_id=request_id)
            self.transport.write(
                wire_answer(
                    status,
                    [*self.server_state.default_headers, *fields],
                    body,
                    request_id=request_id,
                    block=self.guard.block,
                    keep_alive=False,
                )
            )
        self.pipeline.clear()  # nobody will answer them; who does not read would keep them for a minute
        self.transport.close()

    def _is_spoken_for(self) -> bool:
        """Whether what is written now would be taken for the answer to another request, or for its middle."""
        cycle: Any = self.cycle
        if cycle is None:
            return False
        if self._phase == _BODY and not self.pipeline:
            return bool(cycle.response_complete or getattr(cycle, "response_started", False))
        return not cycle.response_complete

    def _path(self) -> str:
        url: bytes = getattr(self, "url", b"")  # not there before the first request
        return url.partition(b"?")[0][:256].decode("latin-1")

    # Pace

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._patience_s = self.guard.send_timeout_s

    def look(self, elapsed_s: float) -> None:
        """End the connection if it has become too slow."""
        self._look_at_answer(elapsed_s)
        if self.transport.is_closing():
            return
        if self.flow.read_paused or self._is_waited_for():
            self._since += elapsed_s
            self._body_bytes = 0
        elif self._phase == _HEAD:
            self._look_at_head()
        elif self._phase == _BODY:
            self._look_at_body(elapsed_s)
        elif self._phase == _IDLE and self.guard.now - self._since > self.timeout_keep_alive:
            self.transport.close()  # uvicorn's own timer is not set after an answer to half a request

    def _look_at_head(self) -> None:
        seconds = self.guard.head_timeout_s
        if self.guard.now - self._since <= seconds:
            return
        if not self._chunk_bytes:  # it never said a word: nobody is there to be answered
            self.transport.close()
        else:
            self.refuse(RequestTooSlow(f"the head of the request was not complete within {seconds:g} s"))

    def _look_at_body(self, elapsed_s: float) -> None:
        guard = self.guard
        earned_s = self._body_bytes / guard.body_min_bytes_s
        self._credit_s = min(guard.body_grace_s, self._credit_s - elapsed_s + earned_s)
        self._body_bytes = 0
        if self._credit_s < 0:
            pace = f"{guard.body_min_bytes_s} bytes a second"
            self.refuse(RequestTooSlow(f"the body came with less than {pace}, for {guard.body_grace_s:g} s"))

    def _look_at_answer(self, elapsed_s: float) -> None:
        """What the client does not read is thrown away with the connection."""
        guard, unsent_bytes = self.guard, self.transport.get_write_buffer_size()
        read_s = max(0, self._unsent_bytes - unsent_bytes) / guard.body_min_bytes_s
        self._unsent_bytes = unsent_bytes
        if not unsent_bytes:
            self._patience_s = guard.send_timeout_s
            return
        self._patience_s = min(guard.send_timeout_s, self._patience_s - elapsed_s + read_s)
        if self._patience_s < 0:
            self.transport.abort()

    def _is_waited_for(self) -> bool:
        """Whether the client rightly waits: for our word to send the body, or for an earlier answer."""
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        return self._phase == _HEAD or getattr(cycle, "waiting_for_100_continue", False)

    def _begin_head(self) -> None:
        self._phase, self._since, self._head_bytes = _HEAD, self.guard.now, 0

    def _be_idle_if_answered(self) -> None:
        cycle: Any = self.cycle
        if self._phase == _WAITING and cycle is not None and cycle.response_complete and not self.pipeline:
            self._phase, self._since = _IDLE, self.guard.now
