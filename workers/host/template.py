"""The template: imports everything, then forks a host whenever it is asked to.

It is started with an almost empty environment and one socket, and ends when that socket does; its
hosts end with it. It opens no artifact. What a model prints comes here, so that it can neither
block its host nor reach the protocol; the end of it is kept for whoever asks how a host ended.
"""

import contextlib
import fcntl
import os
import select
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import msgspec
import numpy as np

from workers.host import serve, warm
from workers.host.cell import door, kernel, scratch, walls
from workers.host.cell.walls import Walls
from workers.host.printed import Printed
from workers.host.protocol import SLOTS, encode
from workers.host.slot import Slot
from workers.host.template_protocol import (
    AskEnd,
    AskPrinted,
    Ended,
    Fork,
    Forked,
    PrintedSoFar,
    Ready,
    decode_template_request,
)

_REQUEST_BYTES = 4096
_KEPT_HOSTS = 256  # ended hosts that can still be asked about
_END_WAIT_MS = 1000
_MOST_DRAINS = 8  # of one pipe at a time: more than it holds, and an end with a model that never stops
_MARK = b"\n"  # before what was printed: a message must not be empty
_WATCH_S = 0.5  # between looks at scratch folders that nothing else bounds


class _Host:
    """A forked host: its process, and the pipe that it prints into."""

    def __init__(self, pid: int, pidfd: int, pipe: int, *, memory_bytes: int) -> None:
        self.pid, self.memory_bytes = pid, memory_bytes
        self.pidfd = pidfd
        self.pipe = pipe
        self.printed = Printed()
        self.status: int | None = None

    def drain(self) -> bool:
        """Take what was printed; False once nothing more can come, or nothing is there now."""
        try:
            return self.printed.take(self.pipe)
        except BlockingIOError:
            return False

    def catch_up(self) -> None:
        """Take what it has printed until now."""
        for _ in range(_MOST_DRAINS):
            if not self.drain():
                return

    def reap(self) -> None:
        """Learn how it ended, take the rest of its output, and let go of it."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)  # what it started ends with it
            self.status = os.waitpid(self.pid, 0)[1]
            while self.drain():
                pass
            os.close(self.pidfd)
            os.close(self.pipe)


class Template:
    """Serves its control socket until that ends."""

    def __init__(self, control: socket.socket, cell: Walls) -> None:
        self._control, self._cell = control, cell
        self._hosts: dict[int, _Host] = {}
        self._forked = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)

    def run(self) -> None:
        """Fork, reap and drain until the supervisor is gone."""
        self._control.send(encode(Ready(self._cell.layers)))
        watched = self._cell.layers.scratch == "watched folder"
        while True:
            for key, _ in self._selector.select(_WATCH_S if watched else None):
                if key.fileobj is self._control:
                    if not self._serve_request():
                        return
                elif key.fd in self._selector.get_map():  # not reaped a moment ago
                    self._serve_host(self._hosts[key.data], key.fd)
            if watched:
                self._end_who_fills_the_disk()

    def _end_who_fills_the_disk(self) -> None:
        for host in self._hosts.values():
            if host.status is None and scratch.is_too_full(
                self._cell.base, host.pid, size_bytes=host.memory_bytes
            ):
                host.printed.add(b"\nit filled its scratch folder\n")
                signal.pidfd_send_signal(host.pidfd, signal.SIGKILL)

    def _serve_request(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, _REQUEST_BYTES, 1 + SLOTS)
        if not message:
            return False
        match decode_template_request(message):
            case Fork(memory_bytes=memory_bytes):
                self._fork(descriptors, memory_bytes)
            case AskEnd(host=number):
                self._tell_end(number)
            case AskPrinted(host=number, since=since):
                self._tell_printed(number, since)
        return True

    def _serve_host(self, host: _Host, descriptor: int) -> None:
        if descriptor == host.pidfd:
            self._reap(host)
        elif not host.drain():
            self._selector.unregister(host.pipe)

    def _fork(self, descriptors: list[int], memory_bytes: int) -> None:
        pipe, printing = os.pipe2(os.O_CLOEXEC)
        lock = partial(door.close, parent=os.getpid(), memory_bytes=memory_bytes)
        pid = os.fork()
        if pid == 0:
            _become_host(self._cell, lock, descriptors, printing)
        for descriptor in (*descriptors, printing):
            os.close(descriptor)
        os.set_blocking(pipe, False)
        host = _Host(pid, os.pidfd_open(pid), pipe, memory_bytes=memory_bytes)
        self._forked += 1
        self._keep(self._forked, host)
        socket.send_fds(self._control, [encode(Forked(self._forked, pid))], [host.pidfd])

    def _keep(self, number: int, host: _Host) -> None:
        self._hosts[number] = host
        self._selector.register(host.pidfd, selectors.EVENT_READ, number)
        self._selector.register(host.pipe, selectors.EVENT_READ, number)
        ended = [number for number, host in self._hosts.items() if host.status is not None]
        for old in ended[:-_KEPT_HOSTS]:
            del self._hosts[old]

    def _tell_end(self, number: int) -> None:
        host = self._hosts.get(number)
        if host is not None and host.status is None and _readable(host.pidfd, _END_WAIT_MS):
            self._reap(host)
        self._control.send(encode(Ended(host.status if host else None)))
        self._control.sendmsg([_MARK, *(host.printed.parts() if host else ())])

    def _tell_printed(self, number: int, since: int) -> None:
        host = self._hosts.get(number)
        if host is not None and host.status is None:
            host.catch_up()
        self._control.send(encode(PrintedSoFar(host.printed.count if host else since)))
        self._control.sendmsg([_MARK, *(host.printed.parts_since(since) if host else ())])

    def _reap(self, host: _Host) -> None:
        for descriptor in (host.pidfd, host.pipe):
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
        host.reap()
        scratch.remove(self._cell.base, host.pid)


def _readable(descriptor: int, timeout_ms: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout_ms))


def _become_host(
    cell: Walls, lock: Callable[[Walls], None], descriptors: list[int], printing: int
) -> NoReturn:
    """Turn this fork into a host that holds nothing of the template's but its memory."""
    status = 1
    try:
        first, readable = _keep_only(descriptors, printing, cell.readable)
        slots = [Slot(descriptor) for descriptor in range(first + 1, first + 1 + SLOTS)]
        lock(msgspec.structs.replace(cell, readable=readable))
        np.random.seed()  # noqa: NPY002  otherwise every host would draw the same numbers
        serve.run(socket.socket(fileno=first), slots)
        status = 0
    except BaseException as error:  # noqa: BLE001  nothing may return into the template
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201  into the pipe
    finally:
        sys.stdout.flush()
        os._exit(status)


def _keep_only(descriptors: list[int], printing: int, readable: list[int]) -> tuple[int, list[int]]:
    """Number the given descriptors from 3 on, after output that goes to the pipe, and close all others.

    Returns:
        The first of them, and those of what may be read, for the door.
    """
    kept = (*descriptors, *readable)
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 3 + len(kept) + 1) for descriptor in (*kept, printing)]
    os.dup2(high[-1], 1)
    os.dup2(high[-1], 2)
    for number, descriptor in enumerate(high[:-1], start=3):
        os.dup2(descriptor, number)
    os.closerange(3 + len(kept), 1 << 20)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return 3, list(range(3 + len(descriptors), 3 + len(kept)))


def main(control: int, base: str) -> None:
    """Run the template on the control socket and in the empty folder that the supervisor gave."""
    os.umask(0o077)
    cell = walls.build(base)  # before the imports: it forks, and so do they
    warm.import_model_libraries()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # whatever a host of the same user might try
    Template(socket.socket(fileno=control), cell).run()
    os._exit(0)  # hosts get PDEATHSIG; no atexit of a model library runs
