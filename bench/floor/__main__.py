"""`python -m bench.floor REDIS_SOCKET PORT MODEL`: the least that a prediction over a Redis queue can cost.

One API process (raw ASGI), one worker, one model process behind a socketpair, a Redis stream between them.
No accounts, no routes, no deadlines, no recovery: what the product needs beyond this is what those cost.
What one turn of the API's event loop gathers is one stream entry; what one batch answers is one reply.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from itertools import count

import hiredis
import joblib
import msgspec
import numpy as np
import uvicorn
from sklearn.base import ClassifierMixin

HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"16")]
TAKE = ("XREADGROUP", "GROUP", "workers", "1", "COUNT", "64", "BLOCK", "0", "STREAMS", "rows", ">")
AWAIT = ("BLMPOP", "0", "1", "replies", "LEFT", "COUNT", "64")


class Body(msgspec.Struct):
    """What a client sends."""

    input: dict[str, float]


command = hiredis.pack_command
pack = msgspec.msgpack.encode
read_body = msgspec.json.Decoder(Body).decode
read_rows = msgspec.msgpack.Decoder(list[tuple[int, bytes]]).decode  # request id, row as float64
read_labels = msgspec.msgpack.Decoder(list[tuple[int, int]]).decode  # request id, class


def unended(received: bytes) -> bytes:
    """What came over a connection; its end is the end of this process."""
    return received or sys.exit("Redis is gone")


class Api:
    """ASGI. Rows go out over one connection, a turn of the loop's at a time; labels come in by another."""

    def __init__(self, redis_socket: str, columns: Sequence[str]) -> None:
        self.redis_socket, self.columns, self.ids = redis_socket, columns, count()
        self.waiting: dict[int, asyncio.Future[int]] = {}
        self.gathered: list[tuple[int, bytes]] = []

    async def __call__(self, scope, receive, send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.start()
            return await send({"type": "lifespan.startup.complete"})
        values = read_body((await receive())["body"]).input
        label = await self.predict(np.array([values[column] for column in self.columns]).tobytes())
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        return await send({"type": "http.response.body", "body": b'{"prediction":%d}' % label})

    async def start(self) -> None:
        """Connect, and begin to read replies."""
        _, self.writer = await asyncio.open_unix_connection(self.redis_socket)
        self.writer.write(command(("CLIENT", "REPLY", "OFF")))
        self.reader = asyncio.create_task(self.read_replies())

    def predict(self, row: bytes) -> asyncio.Future[int]:
        """The class of the row, once the worker has answered."""
        loop = asyncio.get_running_loop()
        if not self.gathered:
            loop.call_soon(self.flush)
        self.gathered.append((request_id := next(self.ids), row))
        future = self.waiting[request_id] = loop.create_future()
        return future

    def flush(self) -> None:
        """Send what was gathered as one entry."""
        self.writer.write(command(("XADD", "rows", "*", "packed", pack(self.gathered))))
        self.gathered = []

    async def read_replies(self) -> None:
        """Hand each label to the request that waits for it."""
        reader, writer = await asyncio.open_unix_connection(self.redis_socket)
        parser = hiredis.Reader()
        while True:
            writer.write(command(AWAIT))
            while (answer := parser.gets()) is False:
                parser.feed(unended(await reader.read(1 << 16)))
            for request_id, label in (pair for packed in answer[1] for pair in read_labels(packed)):
                self.waiting.pop(request_id).set_result(label)


def work(redis_socket: str, model: socket.socket) -> None:
    """Take what waits, have it predicted as one batch, then answer it and take the next in one write."""
    redis, parser = socket.socket(socket.AF_UNIX), hiredis.Reader()
    redis.connect(redis_socket)

    def ask(*commands):
        redis.sendall(b"".join(map(command, commands)))
        for _ in commands:
            while (answer := parser.gets()) is False:
                parser.feed(unended(redis.recv(1 << 16)))
        return answer

    ask(("XGROUP", "CREATE", "rows", "workers", "$", "MKSTREAM"))
    taken = ask(TAKE)
    while True:
        entry_ids, fields = zip(*taken[0][1], strict=True)
        ids, rows = zip(*(request for _, packed in fields for request in read_rows(packed)), strict=True)
        model.sendall(b"".join(rows))
        reply = pack(list(zip(ids, model.recv(len(ids)), strict=True)))
        taken = ask(
            ("RPUSH", "replies", reply),
            ("XACK", "rows", "workers", *entry_ids),
            ("XDEL", "rows", *entry_ids),
            TAKE,
        )


def host(supervisor: socket.socket, model: ClassifierMixin) -> None:
    """The model's own process: rows of float64 in, the class of each as a byte out."""
    while rows := supervisor.recv(1 << 20):
        labels = model.predict(np.frombuffer(rows).reshape(-1, model.n_features_in_))
        supervisor.sendall(labels.astype(np.uint8).tobytes())


def main(redis_socket: str, port: str, path: str) -> None:
    """Fork the model, fork the worker, and be the API."""
    model = joblib.load(path)
    columns = model.__dict__.pop("feature_names_in_").tolist()  # predict then takes bare arrays with no word
    to_model, to_worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for run, arguments in ((host, (to_worker, model)), (work, (redis_socket, to_model))):
        if os.fork() == 0:
            run(*arguments)
    uvicorn.run(
        Api(redis_socket, columns),
        port=int(port),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
