"""The fast lane for predictions: what can be answered without waiting for anything but the model.

An ASGI call costs a task, a scope, an event and two messages; on this path, more than all else together
(docs/decisions). The protocol of the HTTP server looks at requests to predict first. One that can be sent at
once is answered from callbacks; every other, and every one that is wrong, goes the ordinary way through
`PredictRoute`, which sees the same request from its beginning.
"""

import asyncio
from collections.abc import Sized
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from api.connection_guard import ConnectionGuard
from api.flight import Flight
from api.gate import Gate
from api.guarded_protocol import GuardedProtocol
from api.predict_answer import Answer, answer_of
from api.predict_request import Fields, Headers
from api.predict_route import PREFIX, PredictRoute
from api.prefer import prefers_later
from api.problems import is_business_as_usual, problem_answer
from api.request_context import bound_to_logs, request_id_of
from api.wire_answer import wire_answer

_PREFIX: Final = PREFIX.encode()
_MAX_BODY: Final = 64 * 1024  # a larger body goes the ordinary way, which streams it


class LaneRequest:
    """One request in the lane. Stands where uvicorn keeps the request that it answers at present.

    Attributes:
        id: by which logs and its answer call it.
        body: what has come of it.
        begun: its body is complete.
        flight: what it became, while that is under way.
        headers: the last of each name.
        response_complete, disconnected, keep_alive, message_event: uvicorn looks at these.
    """

    __slots__ = (
        "begun",
        "body",
        "disconnected",
        "flight",
        "headers",
        "id",
        "keep_alive",
        "message_event",
        "path",
        "response_complete",
    )

    def __init__(self, headers: Headers, *, keep_alive: bool) -> None:
        self.id, self.headers, self.keep_alive = (
            request_id_of(headers.get(b"x-request-id")),
            headers,
            keep_alive,
        )
        self.path, self.body = "", b""
        self.flight: Flight | None = None
        self.begun = self.response_complete = self.disconnected = False
        self.message_event = asyncio.Event()


class _Flow(FlowControl):
    """Reads nothing more while requests wait for their turn.

    Uvicorn's own reads on with every answer: a client that sends faster than it is answered fills the memory.
    """

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:  # what they consist of has come already
            super().resume_reading()


class PredictLane(GuardedProtocol):
    """The guarded protocol with a lane beside it."""

    gate: Gate  # of the process, as is the route
    route: PredictRoute

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Somebody has connected."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)

    @property
    def _request(self) -> LaneRequest | None:
        """The request that has the lane now."""
        cycle: object = self.cycle
        return cycle if isinstance(cycle, LaneRequest) else None

    def begin_request(self) -> None:
        """Take the lane if the request may be one for it."""
        headers = dict(self.headers)
        if not self._may_take_lane(headers):
            super().begin_request()
            return
        keep_alive = self.parser.should_keep_alive()
        self.cycle = LaneRequest(headers, keep_alive=keep_alive)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """Gather the body."""
        request = self._request
        if request is not None and not request.begun:
            request.body += body
            self._side_bytes = 0
        else:
            super().on_body(body)

    def end_request(self) -> None:
        """Send the request, or let it go the ordinary way."""
        request = self._request
        if request is None or request.begun:
            super().end_request()
        elif not self._begin(request):
            self._leave_lane(request)

    def connection_lost(self, exc: Exception | None) -> None:
        """A client that leaves frees its place."""
        request = self._request
        if request is not None and request.flight is not None:
            self.route.abandon(request.flight)
        super().connection_lost(exc)

    def _may_take_lane(self, headers: Headers) -> bool:
        parser = self.parser
        if not self.url.startswith(_PREFIX) or b"%" in self.url or parser.get_method() != b"POST":
            return False
        if parser.get_http_version() != "1.1":
            return False
        before: RequestResponseCycle | LaneRequest | None = self.cycle
        # A pipelined request waits for its turn; a client that does not read its answers waits for itself.
        if (before is not None and not before.response_complete) or self.flow.write_paused:
            return False
        if b"prefer" in headers and prefers_later(self.headers):
            return False
        if self.expect_100_continue or parser.should_upgrade() or _is_large(headers):
            return False
        return self.gate.lets_pass(self.scope, headers)  # type: ignore[arg-type]  # uvicorn's word for the same

    def _begin(self, request: LaneRequest) -> bool:
        """Send the request, or answer it at once; False if it must go the ordinary way."""
        url = httptools.parse_url(self.url)
        request.begun, request.path = True, url.path.decode("ascii")
        try:
            request.flight = self.route.begin(
                request.path,
                url.query or b"",
                self.headers,
                request.headers,
                request.body,
                on_end=lambda flight: self._end(request, flight),
            )
        except Exception as error:  # noqa: BLE001  every error is answered, as everywhere
            self._answer(request, *_problem(request, error))
            return True
        return request.flight is not None

    def _leave_lane(self, request: LaneRequest) -> None:
        self.cycle = None  # type: ignore[assignment]
        super().begin_request()
        if request.body:
            super().on_body(request.body)
        super().end_request()

    def _end(self, request: LaneRequest, flight: Flight) -> None:
        """The flight has landed."""
        if request.disconnected or self.transport.is_closing():
            return
        self._answer(request, *_answer_to(request, flight))

    def _answer(self, request: LaneRequest, status: int, fields: Fields, body: bytes) -> None:
        """Write the whole answer, and let the next request come."""
        fields = [*self.server_state.default_headers, *fields]
        self.transport.write(
            wire_answer(
                status,
                fields,
                body,
                request_id=request.id,
                block=self.guard.block,
                keep_alive=request.keep_alive,
            )
        )
        request.response_complete = True
        request.flight = None
        if not request.keep_alive:
            self.transport.close()
        self.on_response_complete()


def _is_large(headers: Headers) -> bool:
    size = headers.get(b"content-length", b"")  # without it: in chunks of unknown sum
    return not size.isdigit() or int(size) > _MAX_BODY


def _answer_to(request: LaneRequest, flight: Flight) -> Answer:
    if flight.error is not None:
        return _problem(request, flight.error)
    try:
        return answer_of(flight)
    except Exception as error:  # noqa: BLE001  a model may answer anything; this is called by whoever reads replies
        return _problem(request, error)


def _problem(request: LaneRequest, error: Exception) -> Answer:
    if is_business_as_usual(error):  # nothing is logged of it, and a flood of them should cost little
        return problem_answer(error, path=request.path, request_id=request.id)
    with bound_to_logs(request.id):
        return problem_answer(error, path=request.path, request_id=request.id)


def lane_for(route: PredictRoute, *, gate: Gate, guard: ConnectionGuard) -> type[Any]:
    """The protocol class of a process, whose lane leads to `route`."""
    return type("PredictLane", (PredictLane,), {"route": route, "gate": gate, "guard": guard})
