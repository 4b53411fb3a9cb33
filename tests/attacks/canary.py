"""Listeners that nobody has a reason to speak to: whoever is heard here got out."""

import selectors
import socket
import threading
from pathlib import Path
from uuid import uuid4


class Canary:
    """Listens by TCP, by UDP, and on Unix sockets with and without a path.

    Attributes:
        heard: what came, until somebody looks.
    """

    def __init__(self, folder: Path) -> None:
        self.unix_path = str(folder / "canary.sock")
        self.abstract_name = f"canary-{uuid4().hex}"
        self.heard: list[str] = []
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._unix = _bound(self.unix_path)
        self._abstract = _bound("\0" + self.abstract_name)
        Path(self.unix_path).chmod(0o777)
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    @property
    def places(self) -> dict[str, str | int]:
        """Where it listens, for who is to try."""
        return {
            "tcp_port": self._tcp.getsockname()[1],
            "udp_port": self._udp.getsockname()[1],
            "unix_path": self.unix_path,
            "abstract_name": self.abstract_name,
        }

    def close(self) -> None:
        self._stop.close()
        self._thread.join()
        for listener in (self._tcp, self._udp, self._unix, self._abstract, self._stopped):
            listener.close()

    def _listen(self) -> None:
        with selectors.DefaultSelector() as selector:
            for listener in (self._tcp, self._udp, self._unix, self._abstract, self._stopped):
                selector.register(listener, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._stopped:
                        return
                    self._hear(key.fileobj)

    def _hear(self, listener: socket.socket) -> None:
        if listener is self._udp:
            self.heard.append(f"UDP: {listener.recv(4096)!r}")
            return
        connection, _ = listener.accept()
        connection.close()
        self.heard.append(f"a connection to {listener.getsockname()!r}")


def _bound(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener
