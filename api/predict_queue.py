"""The API's end of the request/reply queue: requests out in coalesced writes, replies back to who waits.

One task writes, one reads. While a write is on its way, the requests that arrive gather, and leave
together in the next: nobody waits for company, and under load the entries grow by themselves.
"""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.background import end_tasks
from shared.messaging.redis import connect_redis
from shared.predictions.errors import PredictionTimeout, QueueUnreachable
from shared.predictions.keys import reply_list, request_stream
from shared.predictions.wire import (
    ENTRY_FIELD,
    MAX_ENTRY_ROWS,
    Reply,
    Request,
    RequestEntry,
    decode_replies,
    encode,
)

log = structlog.get_logger()

RETRY_PAUSE_S = 0.05  # between attempts to reach a Redis that does not answer
REPLIES_AT_A_TIME = 64
REPLY_WAIT_S = 1.0


class _Pending(msgspec.Struct, frozen=True):
    """A request that has not left yet."""

    id: int
    deadline: float  # monotonic seconds
    rows: int
    outputs: tuple[str, ...]
    body: bytes

    def request(self, now: float) -> Request:
        """In the form that travels: what is left of the deadline instead of a time of this machine."""
        return Request(self.id, int((self.deadline - now) * 1000), self.rows, self.outputs, self.body)


class PredictQueue:
    """Sends requests to predict workers and hands each reply to the call that waits for it."""

    def __init__(self, redis_url: str) -> None:
        # A pool of its own: two connections, one that writes and one that waits for replies.
        self._redis: Redis = connect_redis(redis_url, connections=4)
        self._reply_to = reply_list(uuid4().hex)
        self._ids = itertools.count()
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._outbox: dict[UUID, list[_Pending]] = defaultdict(list)
        self._filled = asyncio.Event()
        self._reachable = True
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to write and to read."""
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    async def close(self) -> None:
        """Stop both, and let go of the connections."""
        await end_tasks(*self._tasks)
        await self._redis.aclose()

    async def call(
        self, version_id: UUID, *, rows: int, outputs: tuple[str, ...], body: bytes, deadline: float
    ) -> Reply:
        """Send one request and wait for its reply.

        Args:
            deadline: in monotonic seconds; past it nobody waits and no worker computes.

        Raises:
            PredictionTimeout: the deadline passed.
            QueueUnreachable: it passed without the request ever leaving, because Redis does not answer.
        """
        request_id = next(self._ids)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = reply
        self._outbox[version_id].append(_Pending(request_id, deadline, rows, outputs, body))
        self._filled.set()
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await reply
        except TimeoutError:
            raise self._too_late() from None
        finally:
            del self._waiting[request_id]

    def _too_late(self) -> PredictionTimeout | QueueUnreachable:
        if self._reachable:
            return PredictionTimeout("the model did not answer before the deadline")
        return QueueUnreachable("the request queue does not answer; try again")

    async def _write(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            outbox, self._outbox = self._outbox, defaultdict(list)
            await self._write_out(outbox)

    async def _write_out(self, outbox: dict[UUID, list[_Pending]]) -> None:
        """Write until Redis has it, or nobody waits for any of it.

        A write whose answer was lost is written again: a prediction done twice is harmless, and the
        second reply finds nobody waiting.
        """
        while entries := list(self._entries(outbox)):
            try:
                await self._add(entries)
            except (RedisError, OSError) as error:
                self._note_unreachable(error)
                await asyncio.sleep(RETRY_PAUSE_S)
            else:
                self._reachable = True
                return

    async def _add(self, entries: list[tuple[str, bytes]]) -> None:
        if len(entries) == 1:
            stream, entry = entries[0]
            await self._redis.xadd(stream, {ENTRY_FIELD: entry})
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            for stream, entry in entries:
                pipe.xadd(stream, {ENTRY_FIELD: entry})
            await pipe.execute()

    def _entries(self, outbox: dict[UUID, list[_Pending]]) -> Iterator[tuple[str, bytes]]:
        """Stream and packed entry, for all that somebody still waits for."""
        now = time.monotonic()
        for version_id, pendings in outbox.items():
            alive = [
                pending.request(now)
                for pending in pendings
                if pending.id in self._waiting and pending.deadline > now
            ]
            for requests in _bounded(alive):
                yield request_stream(version_id), encode(RequestEntry(self._reply_to, requests))

    async def _read(self) -> None:
        while True:
            try:
                answer: Any = await self._redis.blmpop(
                    REPLY_WAIT_S, 1, self._reply_to, direction="LEFT", count=REPLIES_AT_A_TIME
                )
            except (RedisError, OSError) as error:
                self._note_unreachable(error)
                await asyncio.sleep(RETRY_PAUSE_S)
                continue
            if answer:
                self._hand_out(answer[1])

    def _hand_out(self, packed: list[bytes]) -> None:
        for item in packed:
            for reply in decode_replies(item):
                future = self._waiting.get(reply.id)
                if future is not None and not future.done():
                    future.set_result(reply)

    def _note_unreachable(self, error: Exception) -> None:
        if self._reachable:
            log.warning("request queue unreachable", error=str(error))
        self._reachable = False


def _bounded(requests: list[Request]) -> Iterator[list[Request]]:
    """The requests in entries of at most MAX_ENTRY_ROWS rows, a larger request alone."""
    entry: list[Request] = []
    rows = 0
    for request in requests:
        if entry and rows + request.rows > MAX_ENTRY_ROWS:
            yield entry
            entry, rows = [], 0
        entry.append(request)
        rows += request.rows
    if entry:
        yield entry
