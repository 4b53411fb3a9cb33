"""How many requests a limit lets through where several processes count."""

import asyncio
import json
import time
from collections import Counter
from urllib.parse import urlsplit

import msgspec
import uvloop

from bench.http_connection import Connection, post_request


class Counted(msgspec.Struct, frozen=True):
    """What was let through of what was asked.

    Attributes:
        due: what the limit lets through in the time that it took: all at once, and then one each interval.
    """

    kind: str
    asked: int
    allowed: int
    due: int
    statuses: dict[int, int]


def count(url: str, key: str, *, per_minute: int, connections: int, seconds: float) -> list[Counted]:
    """Ask for predictions, to read and to write, from many connections as fast as they are answered."""
    headers = {"X-API-Key": key}
    predict = post_request(f"{url}/api/v1/predict/iris", '{"input": [5.1, 3.5, 1.4, 0.2]}', headers)
    write = post_request(f"{url}/api/v1/models/iris", json.dumps({"description": "x"}), headers)
    read = f"GET /api/v1/models HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nX-API-Key: {key}\r\n\r\n".encode()
    requests = {"predict": predict, "read": read, "write": write.replace(b"POST", b"PATCH", 1)}
    return [
        uvloop.run(_count(url, kind, request, per_minute=per_minute, lines=connections, seconds=seconds))
        for kind, request in requests.items()
    ]


async def _count(
    url: str, kind: str, request: bytes, *, per_minute: int, lines: int, seconds: float
) -> Counted:
    at, loop = urlsplit(url), asyncio.get_running_loop()
    made = [await loop.create_connection(Connection, at.hostname, at.port) for _ in range(lines)]
    found: Counter[int] = Counter()
    started = time.monotonic()
    await asyncio.gather(*(_ask(each, request, found, until=started + seconds) for _, each in made))
    ended = time.monotonic()
    for _, connection in made:
        connection.close()
    due = per_minute + int((ended - started) * per_minute / 60)
    return Counted(kind, found.total(), found[200], due, dict(found))


async def _ask(connection: Connection, request: bytes, found: Counter[int], *, until: float) -> None:
    while connection.open and time.monotonic() < until:
        answer: asyncio.Future = asyncio.get_running_loop().create_future()
        connection.send(request, answer.set_result)
        found[(await answer).status] += 1
