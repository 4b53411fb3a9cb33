"""A keep-alive HTTP connection with one request at a time: light, so that what is loaded is the server."""

import asyncio
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
LOST = 0  # in place of a status: the connection was refused, or ended before the answer


class Answer(msgspec.Struct, frozen=True):
    """What came back; `head` is the status line and the headers."""

    status: int
    head: bytes = b""
    body: bytes = b""

    def header(self, name: str) -> str:
        """Its value; empty where there is none."""
        found = re.search(rb"\r\n" + name.encode() + rb": *([^\r]*)", self.head, re.IGNORECASE)
        return found[1].decode() if found else ""


class Connection(asyncio.Protocol):
    """Made by `loop.create_connection`.

    Attributes:
        open: whether another request may be sent by it.
    """

    def __init__(self) -> None:
        self.open = False
        self._received = bytearray()
        self._done: Callable[[Answer], None] | None = None

    def send(self, request: bytes, done: Callable[[Answer], None]) -> None:
        """Send a request; `done` is called with its answer, of status LOST if none comes."""
        self._done = done
        self._transport.write(request)

    def close(self) -> None:
        """Close it now."""
        self.open = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Asyncio says that it is connected."""
        self._transport, self.open = transport, True

    def data_received(self, data: bytes) -> None:
        """Asyncio hands over what arrived."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end])
        length = _LENGTH.search(head)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(self._received) >= size:
            body = bytes(self._received[end + 4 : size])
            del self._received[:size]
            self._finish(Answer(int(head[9:12]), head, body))

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Asyncio says that it has ended."""
        self.open = False
        self._finish(Answer(LOST))

    def _finish(self, answer: Answer) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(answer)


def post_request(url: str, body: str, headers: Mapping[str, str]) -> bytes:
    """The bytes of a POST of JSON."""
    at = urlsplit(url)
    lines = [f"POST {at.path} HTTP/1.1", f"Host: {at.netloc}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body.encode())}", "", body]).encode()
