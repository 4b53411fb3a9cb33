"""Clients that hold connections: that dribble heads or bodies, never read, or send what nobody asked for.

They come from an address of their own, which no proxy speaks for.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from urllib.parse import urlsplit

import msgspec
import uvloop

SOURCE = "127.0.0.2"
_PIECE = b" " * 65_536


class Held(msgspec.Struct, frozen=True):
    """What became of connections.

    Attributes:
        answers: by what they were: the kind, and the status of the answer; 0: none came.
        seconds: until the last of them was ended, by either side.
        sent_bytes: in all.
    """

    answers: dict[str, int]
    seconds: float
    sent_bytes: int


@contextmanager
def holding(url: str, key: str, kinds: dict[str, int], *, seconds: float) -> Iterator["Future[Held]"]:
    """So many connections of each kind, while the block runs; each as long as it is let, or `seconds`."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        yield process.submit(_run, url, key, kinds, seconds=seconds)


def _run(url: str, key: str, kinds: dict[str, int], *, seconds: float) -> Held:
    return uvloop.run(_hold(url, key, kinds, seconds=seconds))


async def _hold(url: str, key: str, kinds: dict[str, int], *, seconds: float) -> Held:
    clients = [_Client(url, key, kind) for kind, number in kinds.items() for _ in range(number)]
    started = time.monotonic()
    await asyncio.gather(*(client.run(seconds) for client in clients))
    answers = Counter(f"{client.kind}: {client.status or 'no answer'}" for client in clients)
    return Held(dict(answers), time.monotonic() - started, sum(client.sent_bytes for client in clients))


class _Client:
    def __init__(self, url: str, key: str, kind: str) -> None:
        at = urlsplit(url)
        self._host, self._port, self._key, self.kind = at.hostname, at.port, key, kind
        self.status = self.sent_bytes = 0

    async def run(self, seconds: float) -> None:
        reader, writer = await self._connect()
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(seconds):
                sending = asyncio.create_task(getattr(self, f"_{self.kind}")(writer))
                try:
                    await self._answer(reader)
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
        writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            self._host, self._port, local_addr=(SOURCE, 0), limit=65_536 if self.kind != "deaf" else 1
        )

    async def _answer(self, reader: asyncio.StreamReader) -> None:
        if self.kind == "deaf":
            await asyncio.Event().wait()
        line = await reader.readline()
        self.status = int(line[9:12] or 0)

    async def _heads(self, writer: asyncio.StreamWriter) -> None:
        await self._send(writer, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")
        while True:
            await asyncio.sleep(1)
            await self._send(writer, b"A: b\r\n")

    async def _bodies(self, writer: asyncio.StreamWriter) -> None:
        await self._send(writer, self._post("/api/v1/auth/login", 100_000))
        while True:
            await self._send(writer, b" ")
            await asyncio.sleep(1)

    async def _deaf(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await self._send(writer, b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")

    async def _large(self, writer: asyncio.StreamWriter) -> None:
        await self._send(writer, self._post("/api/v1/schedules", 100_000_000))
        for _ in range(100_000_000 // len(_PIECE)):
            await self._send(writer, _PIECE)

    async def _huge(self, writer: asyncio.StreamWriter) -> None:
        await self._send(writer, self._post("/api/v1/predict/iris", None))
        while True:
            await self._send(writer, b"10000\r\n" + _PIECE + b"\r\n")

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        self.sent_bytes += len(data)
        await writer.drain()

    def _post(self, path: str, size: int | None) -> bytes:
        length = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"X-API-Key: {self._key}", length]
        return "\r\n".join([*lines, "Content-Type: application/json", "", ""]).encode()
