"""What the supervisor holds of one host: its socket, a handle on its process, and what was said so far."""

import contextlib
import os
import select
import signal
import socket
import time
import weakref
from collections.abc import Callable, Sequence

import msgspec

from workers.host.protocol import BadFrame, Buffer
from workers.hosting.conversation import Conversation, Outcome
from workers.hosting.ending import End, death_of
from workers.hosting.errors import HostDied, HostTimedOut
from workers.hosting.memory import memory_bytes

_END_WAIT_S = 0.5  # a socket closes a moment before its process can be asked how it ended


class Printed(msgspec.Struct, frozen=True):
    """The end of what a model printed in a while, and how many bytes before that are lost."""

    text: bytes
    left_out: int


class HostLink:
    """Bytes to and from one host, and its end. Nothing here waits unless it says so.

    Attributes:
        pid: the host's process id.
        death: how it ended, as soon as that is known.
    """

    def __init__(
        self,
        pid: int,
        pidfd: int,
        connection: socket.socket,
        conversation: Conversation,
        *,
        ended: Callable[[], End],
        printed: Callable[[int], tuple[int, bytes]],
    ) -> None:
        self.pid = pid
        self.conversation = conversation
        self.death: HostDied | HostTimedOut | None = None
        self._pidfd = pidfd
        self._socket = connection
        self._ended = ended
        self._printed, self._printed_bytes = printed, 0
        connection.setblocking(False)
        # Closed when nobody looks any more: another thread may wait on them when the host is killed.
        weakref.finalize(self, _release, pidfd, connection, conversation)

    def fileno(self) -> int:
        """Of the socket, for an event loop."""
        return self._socket.fileno()

    def send(self, buffers: list[Buffer]) -> None:
        """Send one call.

        Raises:
            OSError: the host is gone.
            BadFrame: it reads nothing: two calls fit into the socket.
        """
        if self._socket.sendmsg(buffers) < sum(map(len, buffers)):
            raise BadFrame("it did not read what it was sent")

    def send_opening(self, buffers: list[Buffer], files: Sequence[int], deadline: float) -> None:
        """Send a request with the files that it is about; waits while it is long.

        Files are opened anew: the host gets neither our offset nor our right to write.
        """
        opened = [os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC) for file in files]
        try:
            data = memoryview(b"".join(buffers))
            sent = socket.send_fds(self._socket, [data[:1]], opened)
        finally:
            for descriptor in opened:
                os.close(descriptor)
        while sent < len(data):
            self._wait(self._socket.fileno(), select.POLLOUT, deadline)
            sent += self._socket.send(data[sent:])

    def wait(self, deadline: float) -> None:
        """Wait until something arrives.

        Raises:
            TimeoutError: nothing did.
        """
        self._wait(self._socket.fileno(), select.POLLIN, deadline)

    def take(self) -> list[Outcome]:
        """The outcomes that have arrived.

        Raises:
            OSError, EOFError: the host is gone.
            BadFrame: it must be killed.
        """
        try:
            count = self._socket.recv_into(self.conversation.space())
        except BlockingIOError:
            return []
        if not count:
            raise EOFError
        return list(self.conversation.received(count))

    def fail(self, error: Exception) -> HostDied | HostTimedOut:
        """End it because of `error`, and learn how it ended. Waits for a moment."""
        if self.death is not None:
            return self.death
        by_itself = isinstance(error, OSError | EOFError) and self._ends_within(_END_WAIT_S)
        self._signal()
        if isinstance(error, HostTimedOut):
            self.death = error
        else:
            fault = BadFrame("it closed its socket") if isinstance(error, OSError | EOFError) else error
            self.death = death_of(self._ended(), fault=None if by_itself else fault)
        return self.death

    def kill(self) -> None:
        """End it now, whatever it does."""
        if self.death is None:
            self.death = HostDied("was ended on purpose")
            self._signal()

    def pause(self) -> None:
        """Let it do nothing at all until it is resumed."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def take_printed(self) -> Printed:
        """What it has printed since the last time. Waits for its template; any one thread may ask."""
        before = self._printed_bytes
        self._printed_bytes, text = self._printed(before)
        return Printed(text, left_out=self._printed_bytes - before - len(text))

    def memory_bytes(self) -> int:
        """Memory of its own, and what it shares with us: a host may fill the room for its answers."""
        if self.death:
            return 0
        return memory_bytes(self.pid) + sum(slot.taken_bytes() for slot in self.conversation.slots)

    def _signal(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._wait(self._pidfd, select.POLLIN, time.monotonic() + seconds)
        except TimeoutError:
            return False
        return True

    @staticmethod
    def _wait(descriptor: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError


def _release(pidfd: int, connection: socket.socket, conversation: Conversation) -> None:
    """Close what is ours; a host that still runs ends by that."""
    connection.close()
    os.close(pidfd)
    conversation.close()
