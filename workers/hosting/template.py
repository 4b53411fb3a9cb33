"""The template process: it imports the model libraries once, and forks hosts."""

import contextlib
import select
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Literal, cast

from shared.errors import OperatorError
from workers.host import protocol
from workers.host.cell.layers import Layers
from workers.host.template_protocol import (
    AskEnd,
    AskPrinted,
    Ended,
    Fork,
    Forked,
    PrintedSoFar,
    Ready,
    decode_template_answer,
)
from workers.hosting.confinement import Confinement, examine
from workers.hosting.conversation import Conversation
from workers.hosting.ending import End
from workers.hosting.link import HostLink
from workers.hosting.process import HostProcess
from workers.hosting.scratch_base import ScratchBase

_ROOT = Path(__file__).resolve().parents[2]
_START_TIMEOUT_S = 120.0  # imports on a cold disk
_ANSWER_TIMEOUT_S = 30.0
_CLOSE_TIMEOUT_S = 5.0
_PRINTED_BYTES = 64 * 1024  # more than a template keeps
_SEND_BUFFER_BYTES = 1024 * 1024

HOST_MEMORY_BYTES = 2 * 1024**3  # unless the settings say otherwise

# All that a host finds in its environment. One thread a pool: calls of many models share the cores, and
# OpenMP reads this when it is loaded, never again.
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Arrow's allocator would keep a thread of its own, and a process with threads cannot be forked safely.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # Another of Arrow's allocators sets a gigabyte aside, which would count as a model's own.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # ONNX Runtime would report its use to its makers, by a thread of its own, from its import on.
    "ORT_DISABLE_TELEMETRY": "1",
}
# The project can be imported until the template's own modules are; no model imports any more of it.
_PROGRAM = """
import sys
sys.path.append(sys.argv[1])
from workers.host.template import main
sys.path.pop()
main(int(sys.argv[2]), sys.argv[3])
"""


class TemplateFailed(OperatorError):
    """No template can be started; its own words are in this process's output."""

    code = "template_failed"


class HostTemplate:
    """Starts hosts. One an environment in a worker process; threads may share it.

    The template ends when this process does, however it ends, and its hosts end with it.

    Attributes:
        confinement: what its cells are worth; None until it was started.
    """

    def __init__(
        self,
        *,
        python: Path | None = None,
        memory_bytes: int = HOST_MEMORY_BYTES,
        sandbox: Literal["enforce", "warn"] = "enforce",
    ) -> None:
        """Make a template that is not started yet.

        Args:
            python: the interpreter of an environment of its own; None: this process's.
            memory_bytes: that each host may have for itself.
            sandbox: see the settings.
        """
        self._python = python or Path(sys.executable)
        self._memory_bytes, self._sandbox = memory_bytes, sandbox
        self.confinement: Confinement | None = None
        self._layers: Layers | None = None
        self._base = ScratchBase()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start it, or start it again if it died; returns when its imports are done.

        Raises:
            TemplateFailed: it ended before that.
        """
        with self._lock:
            self._ensure_started()
            layers = self._layers
        if self.confinement is None and layers is not None:
            self.confinement = examine(self._spawn, layers, memory_bytes=self._memory_bytes)

    def spawn(self) -> HostProcess:
        """Fork a host (some 10 ms).

        Raises:
            TemplateFailed: not even a fresh template can.
        """
        if self.confinement is None:
            self.start()
        return self._spawn()

    def _spawn(self) -> HostProcess:
        with self._lock:
            for _ in range(2):  # the first may find a template that died unnoticed
                control = self._ensure_started()
                with contextlib.suppress(OSError, EOFError):
                    return self._fork(control)
                self._discard()
        raise TemplateFailed("the template process died twice while it forked a host")

    def end_of(self, control: socket.socket, host: int) -> End:
        """How a host ended; knows nothing if its template is gone."""
        with self._lock:
            try:
                control.send(protocol.encode(AskEnd(host)))
                ended = cast("Ended", _receive(control, _ANSWER_TIMEOUT_S)[0])
                printed = control.recv(_PRINTED_BYTES)[1:]
                return End(ended.status, printed.decode(errors="replace"))
            except (OSError, EOFError):
                if control is self._control:
                    self._discard()  # an answer that comes too late would be taken for the next one
                return End(None)

    def printed_since(self, control: socket.socket, host: int, count: int) -> tuple[int, bytes]:
        """How many bytes a host has printed, and the last of those after the first `count`.

        Nothing new if its template is gone.
        """
        with self._lock:
            try:
                control.send(protocol.encode(AskPrinted(host, count)))
                told = cast("PrintedSoFar", _receive(control, _ANSWER_TIMEOUT_S)[0])
                return told.count, control.recv(_PRINTED_BYTES)[1:]
            except (OSError, EOFError):
                if control is self._control:
                    self._discard()
                return count, b""

    def close(self) -> None:
        """End it and all its hosts."""
        with self._lock:
            self._discard()
            self._base.remove()

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self._process.pid if self._process else None

    def _ensure_started(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._discard()
        if self._control is None:
            self._process, self._control, self._layers = _start(self._python, self._base.path)
        return self._control

    def _fork(self, control: socket.socket) -> HostProcess:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        conversation = Conversation()
        try:
            slots = [slot.descriptor for slot in conversation.slots]
            socket.send_fds(control, [protocol.encode(Fork(self._memory_bytes))], [theirs.fileno(), *slots])
            forked, descriptors = cast("tuple[Forked, list[int]]", _receive(control, _ANSWER_TIMEOUT_S))
        except BaseException:
            ours.close()
            conversation.close()
            raise
        finally:
            theirs.close()
        ended = partial(self.end_of, control, forked.host)
        printed = partial(self.printed_since, control, forked.host)
        link = HostLink(forked.pid, descriptors[0], ours, conversation, ended=ended, printed=printed)
        return HostProcess(link, may_run_code=self._may_run_code, warnings=self._warnings)

    @property
    def _may_run_code(self) -> bool:
        return self._sandbox == "warn" or (self.confinement is not None and self.confinement.holds)

    @property
    def _warnings(self) -> list[str]:
        if self.confinement is None or self.confinement.holds:
            return []
        return ["The machine that opened it has no working sandbox: the model could harm the platform."]

    def _discard(self) -> None:
        control, process = self._control, self._process
        self._control = self._process = None
        if control is not None:
            control.close()
        if process is not None:
            try:
                process.wait(_CLOSE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(python: Path, base: str) -> tuple[subprocess.Popen[bytes], socket.socket, Layers]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(  # noqa: S603  our own program, with no words from outside
            [str(python), "-I", "-c", _PROGRAM, str(_ROOT), str(theirs.fileno()), base],
            env=_ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C in a terminal is for the worker alone
        )
    try:
        ready = cast("Ready", _receive(ours, _START_TIMEOUT_S)[0])
    except (OSError, EOFError) as error:
        ours.close()
        process.kill()
        process.wait()
        raise TemplateFailed(
            "the template process of model hosts does not start; see its output above"
        ) from error
    return process, ours, ready.layers


def _receive(
    control: socket.socket, timeout_s: float
) -> tuple[Ready | Forked | Ended | PrintedSoFar, list[int]]:
    """One message of the template, and the descriptors with it.

    Raises:
        EOFError: it is gone.
        OSError: it says nothing, or nothing sensible, in the time.
    """
    poll = select.poll()
    poll.register(control, select.POLLIN)
    if not poll.poll(timeout_s * 1000):
        raise TimeoutError("the template does not answer")
    message, descriptors, _, _ = socket.recv_fds(control, 64 * 1024, 1)
    if not message:
        raise EOFError
    return decode_template_answer(message), descriptors
