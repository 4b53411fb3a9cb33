"""The life of a host: open one artifact, then answer calls until the supervisor goes away."""

import mmap
import os
import socket
import time
import warnings
from collections.abc import Iterator

import joblib

from shared.catalog.verdict import Verdict
from workers.host import verdict
from workers.host.error_text import describe
from workers.host.protocol import Buffer, Failed, Frames, Load, Loaded, Predict, decode_request, frame
from workers.host.replies import reply
from workers.host.rows import RowReader
from workers.host.runtimes.runtime import LoadedModel

_FILES = 2  # an artifact, and perhaps a sample


class _Connection:
    """The socket to the supervisor."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._frames = Frames()

    def receive_load(self) -> tuple[Load, list[int]]:
        """The first request, and the descriptors that came with it."""
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
        if not isinstance(request, Load):
            raise TypeError("the first request must open an artifact")
        return request, descriptors

    def calls(self) -> Iterator[tuple[Predict, memoryview]]:
        """Calls and the bodies of their frames, until the supervisor goes away."""
        while True:
            while (parts := self._frames.next()) is None:
                count = self._socket.recv_into(self._frames.space())
                if not count:
                    return
                self._frames.received(count)
            request = decode_request(parts[0])
            if not isinstance(request, Predict):
                raise TypeError("a host opens one artifact")
            yield request, parts[1]

    def send(self, buffers: list[Buffer]) -> None:
        """Send a whole frame; waits for the supervisor where it must."""
        sent = self._socket.sendmsg(buffers)
        if sent < sum(map(len, buffers)):
            self._socket.sendall(b"".join(buffers)[sent:])


class _Slot:
    """Memory shared with the supervisor, which makes it grow."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._memory = memoryview(b"")

    def area(self, end: int) -> memoryview:
        """The slot, at least up to `end`."""
        if len(self._memory) < end:
            self._memory = memoryview(mmap.mmap(self._descriptor, os.fstat(self._descriptor).st_size))
        return self._memory


def run(connection: socket.socket, slots: list[int]) -> None:
    """Serve one artifact on this socket.

    Args:
        slots: descriptors of the memory shared with the supervisor.
    """
    warnings.simplefilter("ignore")  # a model's warnings on every call help nobody, and cost time
    peer = _Connection(connection)
    # No pools: n_jobs=-1 would start processes, and threads of a process that others wait for.
    with joblib.parallel_config(backend="sequential"):
        request, files = peer.receive_load()
        opened, model = _open(request, files)
        peer.send(frame(Loaded(request.id, opened)))
        if model is not None and opened.signature is not None:
            reader = RowReader(opened.signature, model.none_columns)
            _answer_calls(peer, model, reader, [_Slot(descriptor) for descriptor in slots])


def _open(request: Load, files: list[int]) -> tuple[Verdict, LoadedModel | None]:
    if request.signature is not None:
        return verdict.open_known(files[0], request.signature)
    return verdict.examine(files[0], files[1] if request.sample else None)


def _answer_calls(peer: _Connection, model: LoadedModel, reader: RowReader, slots: list[_Slot]) -> None:
    for call, body in peer.calls():
        try:
            answer = _answer(call, body, model, reader, slots[call.slot])
        except BaseException as error:  # noqa: BLE001  also a model that calls sys.exit
            answer = frame(Failed(call.id, describe(error)))
        peer.send(answer)


def _answer(
    call: Predict, body: memoryview, model: LoadedModel, reader: RowReader, slot: _Slot
) -> list[Buffer]:
    area = slot.area(call.reply_at + call.reply_bytes)
    rows = reader.read(call, area[: call.size_bytes] if call.in_slot else body)
    started = time.perf_counter_ns()
    outputs = model.predict(rows, call.outputs)
    took = time.perf_counter_ns() - started
    return reply(call, outputs, took, area[call.reply_at : call.reply_at + call.reply_bytes])
