"""Several API processes on one port: started, watched, started again, and stopped together.

Each has a listening socket of its own, among which the kernel shares out the connections. The parent keeps
them all: connections that come while a process is started again wait for it, and are not refused. When all
stop it lets go of them: what no process accepts any more is refused.
"""

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType

import structlog

log = structlog.get_logger()

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
STEADY_AFTER_S = 10.0  # a process that lived so long starts again without a pause
_PR_SET_PDEATHSIG = 1
_STOPS = (signal.SIGTERM, signal.SIGINT)

Serve = Callable[[socket.socket], None]


class ApiProcesses:
    """Runs `serve` in a process for each socket, until SIGTERM or SIGINT."""

    def __init__(self, sockets: Sequence[socket.socket], serve: Serve) -> None:
        self._sockets, self._serve = sockets, serve
        self._children: dict[int, int] = {}  # process id -> number of its socket
        self._started_at = [0.0] * len(sockets)
        self._pause_s = [0.0] * len(sockets)
        self._stopping = False

    def run(self) -> None:
        """Return when all have ended after a signal to stop."""
        for stop in _STOPS:
            signal.signal(stop, self._stop)
        for number in range(len(self._sockets)):
            self._start(number)
        while self._children:
            pid, status = os.wait()
            ended = self._children.pop(pid, None)
            if ended is not None and not self._stopping:
                self._start_again(ended, os.waitstatus_to_exitcode(status))

    def _start(self, number: int) -> None:
        # A signal that came between the fork and the note of it would miss the new process.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        if not self._stopping:
            self._started_at[number] = time.monotonic()
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                self._be_child(number, parent)
            self._children[pid] = number
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)

    def _be_child(self, number: int, parent: int) -> None:
        for stop in _STOPS:
            signal.signal(stop, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        mine = self._sockets[number]
        for other in self._sockets:
            if other is not mine:
                other.close()
        status = 1
        try:
            _end_with(parent)
            self._serve(mine)
            status = 0
        except SystemExit as end:
            if isinstance(end.code, str):  # a number was explained by whoever ended it
                print(end.code, file=sys.stderr)  # noqa: T201  an operator reads it
        except BaseException:
            log.exception("api process failed")
        finally:
            sys.stdout.flush()
            os._exit(status)

    def _start_again(self, number: int, exit_code: int) -> None:
        lived_s = time.monotonic() - self._started_at[number]
        doubled_s = min(max(2 * self._pause_s[number], FIRST_PAUSE_S), LONGEST_PAUSE_S)
        self._pause_s[number] = 0.0 if lived_s > STEADY_AFTER_S else doubled_s
        log.warning("api process ended", exit_code=exit_code, starts_again_in_s=self._pause_s[number])
        time.sleep(self._pause_s[number])
        self._start(number)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  a signal handler's signature
        self._stopping = True
        for listening in self._sockets:
            listening.close()
        for pid in self._children:
            os.kill(pid, number)


def _end_with(parent: int) -> None:
    """Have the kernel end this process when its parent is gone, however that ended (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            raise SystemExit("the parent of the API processes is gone")
