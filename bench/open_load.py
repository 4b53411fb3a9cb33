"""Open-loop HTTP load: requests leave when they are due, however late the answers to others are.

A latency counts from when the request was due, so that a server that stalls cannot hide it by keeping
the load away from itself.
"""

import asyncio
import contextlib
import itertools
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from bench.http_connection import LOST, Answer, Connection, post_request
from bench.wrk import Target

UNSENT = -1  # in place of a status: every connection that may be open was waiting for an answer
IDLE_S = 2.0  # a connection that was idle longer is not used again: the server may be about to close it
PATIENCE_S = 30.0  # for the last answers


class Outcome(msgspec.Struct, frozen=True):
    """What became of one request.

    Attributes:
        due_at: monotonic seconds.
        latency_s: from then to its answer.
        status: of HTTP; LOST or UNSENT.
    """

    due_at: float
    latency_s: float
    answer: Answer

    @property
    def status(self) -> int:
        """Of HTTP, or LOST, or UNSENT."""
        return self.answer.status


class OpenLoad:
    """Sends requests to one server, in their order, each over a connection that is free, or over a new one.

    Attributes:
        outcomes: of all requests that have ended.
        lags_s: how long after they were due they were sent: the client's own part in their latencies.
    """

    def __init__(self, url: str, requests: Iterator[bytes], *, connections: int = 4000) -> None:
        at = urlsplit(url)
        self._host, self._port = at.hostname, at.port
        self._requests = requests
        self._room = connections
        self._idle: deque[tuple[float, Connection]] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._settled = asyncio.Event()
        self._settled.set()
        self.outcomes: list[Outcome] = []
        self.lags_s: list[float] = []

    async def run(
        self, *, rate: float, seconds: float, saw: Callable[[Outcome], None] = lambda _: None
    ) -> list[Outcome]:
        """Send `rate` requests a second for that long; what became of each, once all are answered."""
        started = time.monotonic()
        for number in range(int(rate * seconds)):
            due_at = started + number / rate
            early_s = due_at - time.monotonic()
            if early_s > 0 or number % 64 == 63:  # where it is late, answers get in all the same
                await asyncio.sleep(max(early_s, 0))
            self.send(due_at, saw)
        await self.settle()
        return self.outcomes

    def send(self, due_at: float, saw: Callable[[Outcome], None] = lambda _: None) -> None:
        """Send the next request now; `saw` is called with its outcome."""
        request = next(self._requests)
        now = time.monotonic()
        self.lags_s.append(now - due_at)
        due_at = min(due_at, now)  # a timer may be early by part of a millisecond
        self._count(1)
        if connection := self._free(now):
            self._post(connection, request, due_at, saw)
        elif self._room:
            self._room -= 1
            task = asyncio.ensure_future(self._connect(request, due_at, saw))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        else:
            self._note(Answer(UNSENT), due_at, saw)

    def send_after(self, wait_s: float, saw: Callable[[Outcome], None]) -> None:
        """Send a request after a while; it is waited for as those that are under way."""
        self._count(1)

        def send() -> None:
            self.send(time.monotonic(), saw)
            self._count(-1)

        asyncio.get_running_loop().call_later(wait_s, send)

    async def settle(self) -> None:
        """Wait until every request has its answer."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), PATIENCE_S)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop()[1].close()

    def _free(self, now: float) -> Connection | None:
        while self._idle and (not self._idle[0][1].open or self._idle[0][0] < now - IDLE_S):
            self._idle.popleft()[1].close()
            self._room += 1
        while self._idle:
            _, connection = self._idle.pop()
            if connection.open:
                return connection
            self._room += 1
        return None

    async def _connect(self, request: bytes, due_at: float, saw: Callable[[Outcome], None]) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(Connection, self._host, self._port)
        except OSError:
            self._room += 1
            self._note(Answer(LOST), due_at, saw)
        else:
            self._post(connection, request, due_at, saw)

    def _post(
        self, connection: Connection, request: bytes, due_at: float, saw: Callable[[Outcome], None]
    ) -> None:
        def done(answer: Answer) -> None:
            if connection.open:
                self._idle.append((time.monotonic(), connection))
            else:
                self._room += 1
            self._note(answer, due_at, saw)

        connection.send(request, done)

    def _note(self, answer: Answer, due_at: float, saw: Callable[[Outcome], None]) -> None:
        self._count(-1)
        outcome = Outcome(due_at, time.monotonic() - due_at, answer)
        self.outcomes.append(outcome)
        saw(outcome)

    def _count(self, more: int) -> None:
        self._in_flight += more
        if self._in_flight:
            self._settled.clear()
        else:
            self._settled.set()


def to_target(target: Target) -> OpenLoad:
    """A load of a target's bodies, again and again."""
    bodies = target.bodies.read_text().splitlines()
    requests = [post_request(target.url, body, target.headers) for body in bodies]
    return OpenLoad(target.url, itertools.cycle(requests))


def statuses(outcomes: Iterable[Outcome]) -> Counter[int]:
    """How many had which status."""
    return Counter(outcome.status for outcome in outcomes)


def percentile_ms(outcomes: Sequence[Outcome], share: float) -> float:
    """The latency that this share of the outcomes did not exceed."""
    return percentile([outcome.latency_s for outcome in outcomes], share) * 1000


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of them did not exceed; not a number where there is none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else math.nan
