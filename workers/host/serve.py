"""The life of a host: open one artifact, then answer calls until the supervisor goes away."""

import socket
import warnings
from collections.abc import Iterator

import joblib

from workers.host import verdict
from workers.host.answering import Answering, answering_of
from workers.host.bounds import UNBOUNDED, Bounds
from workers.host.cell import attempts
from workers.host.error_text import describe
from workers.host.foreign import open_foreign_libraries
from workers.host.memory import give_back
from workers.host.protocol import (
    Accelerate,
    Accelerated,
    Attempt,
    Attempted,
    Buffer,
    Failed,
    Frames,
    Inspect,
    Inspected,
    Load,
    Loaded,
    Predict,
    decode_request,
    frame,
)
from workers.host.slot import Slot
from workers.host.threads import one_thread
from workers.host.verdict import Inspection, Opened

_FILES = 2  # an artifact, and perhaps a sample
_NO_ROOM = memoryview(b"")


class _Connection:
    """The socket to the supervisor."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._frames = Frames()

    def receive_opening(self) -> tuple[Inspect | Load | Attempt, list[int]]:
        """A request that comes before all calls, and the descriptors that came with it."""
        descriptors: list[int] = []
        while (parts := self._frames.next()) is None:
            space = self._frames.space()
            piece, passed, _, _ = socket.recv_fds(self._socket, len(space), _FILES)
            if not piece:
                raise EOFError
            space[: len(piece)] = piece
            self._frames.received(len(piece))
            descriptors += passed
        request = decode_request(parts[0])
        if not isinstance(request, Inspect | Load | Attempt):
            raise TypeError("the first requests must inspect and open an artifact")
        return request, descriptors

    def requests(self) -> Iterator[tuple[Predict | Accelerate, memoryview]]:
        """Requests and the bodies of their frames, until the supervisor goes away."""
        while True:
            while (parts := self._frames.next()) is None:
                count = self._socket.recv_into(self._frames.space())
                if not count:
                    return
                self._frames.received(count)
            request = decode_request(parts[0])
            if isinstance(request, Inspect | Load | Attempt):
                raise TypeError("a host opens one artifact")
            yield request, parts[1]

    def send(self, buffers: list[Buffer]) -> None:
        """Send a whole frame; waits for the supervisor where it must."""
        sent = self._socket.sendmsg(buffers)
        if sent < sum(map(len, buffers)):
            self._socket.sendall(b"".join(buffers)[sent:])


def run(connection: socket.socket, slots: list[Slot]) -> None:
    """Serve one artifact on this socket.

    Args:
        slots: the memory shared with the supervisor.
    """
    warnings.simplefilter("ignore")  # a model's warnings on every call help nobody, and cost time
    open_foreign_libraries()
    peer = _Connection(connection)
    # No pools: n_jobs=-1 would start processes, and threads of a process that others wait for.
    with joblib.parallel_config(backend="sequential"), one_thread():
        request, files = peer.receive_opening()
        if isinstance(request, Attempt):
            peer.send(frame(Attempted(request.id, _escapes(request))))
            return
        inspection = None
        if isinstance(request, Inspect):
            inspection = verdict.inspect(files[0], bounds=Bounds(unpacked_bytes=request.unpacked_bytes))
            give_back()
            peer.send(frame(Inspected(request.id, inspection.contents, inspection.reason)))
            request, files = peer.receive_opening()
        opened = _open(request, files, inspection)
        give_back()
        peer.send(frame(Loaded(request.id, opened.verdict)))
        if opened.model is not None:
            _answer_requests(peer, opened, slots)


def _escapes(request: Attempt) -> list[str]:
    if request.secret is None:
        return attempts.trace()
    return attempts.escapes(request.secret, memory_bytes=request.memory_bytes)


def _open(request: Inspect | Load | Attempt, files: list[int], inspection: Inspection | None) -> Opened:
    if not isinstance(request, Load):
        raise TypeError("a host inspects one artifact once")
    bounds = UNBOUNDED if request.unpacked_bytes is None else Bounds(unpacked_bytes=request.unpacked_bytes)
    may_run_code = request.may_run_code
    if request.signature is not None:
        opened = verdict.open_known(
            files[0], request.signature, request.engine, bounds=bounds, may_run_code=may_run_code
        )
        return verdict.for_many_rows(opened) if request.many_rows else opened
    sample = files[1] if request.sample else None
    return verdict.examine(files[0], sample, bounds=bounds, inspection=inspection, may_run_code=may_run_code)


def _answer_requests(peer: _Connection, opened: Opened, slots: list[Slot]) -> None:
    answering = answering_of(opened)
    for request, body in peer.requests():
        if isinstance(request, Accelerate):
            engine, opened = verdict.accelerate(opened)
            answering = answering_of(opened)
            give_back()
            answer = frame(Accelerated(request.id, engine))
        else:
            answer = _answer(request, body, answering, slots[request.slot])
        peer.send(answer)


def _answer(call: Predict, body: memoryview, answering: Answering, slot: Slot) -> list[Buffer]:
    try:
        if not call.in_slot and not call.reply_bytes:
            return answering.answer(call, body, _NO_ROOM)
        area = slot.area(call.reply_at + call.reply_bytes)
        source = area[: call.size_bytes] if call.in_slot else body
        return answering.answer(call, source, area[call.reply_at : call.reply_at + call.reply_bytes])
    except BaseException as error:  # noqa: BLE001  also a model that calls sys.exit
        return frame(Failed(call.id, describe(error)))
