"""A worker's end of the request/reply queue, for one version.

An entry that a worker took stays pending until it is answered. What a dead worker had taken is
adopted by another that holds the version: prediction is pure, so that doing it twice is harmless.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.predictions.keys import ABANDONED_STREAM_TTL_S, GROUP, REPLIES_TTL_S, request_stream
from shared.predictions.wire import ENTRY_FIELD, Reply, Request, decode_entry, encode
from workers.predict.redis_clock import RedisClock

ENTRIES_AT_A_TIME = 8
TAKE_WAIT_MS = 1000
PENDING_AT_A_TIME = 64  # entries that were taken and not answered, looked at in one go
LOST_AFTER_MS = 1000  # an entry of our own that is not in our hands: the answer that brought it was lost

EntryId = bytes
Entry = tuple[EntryId, dict[bytes, bytes]]


class Taken(msgspec.Struct, frozen=True):
    """A request that this worker took, and where its reply goes."""

    request: Request
    reply_to: str
    deadline: float  # monotonic seconds


class Work(msgspec.Struct, frozen=True):
    """What one look into the queue brought: requests, and the entries that they came in."""

    entry_ids: list[EntryId]
    requests: list[Taken]


class RequestQueue:
    """Takes the requests for one version, and answers them."""

    def __init__(self, redis: Redis, clock: RedisClock, *, version_id: UUID, worker_id: str) -> None:
        self._redis, self._clock = redis, clock
        self._stream, self._worker_id = request_stream(version_id), worker_id
        self._in_hand: set[EntryId] = set()

    async def open(self) -> None:
        """See to it that the stream and its group are there; what already waits in it counts."""
        try:
            await self._redis.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        await self._redis.persist(self._stream)

    async def take(self) -> Work:
        """What waits, or what comes within a second; nothing otherwise."""
        try:
            answer = await self._redis.xreadgroup(
                GROUP, self._worker_id, {self._stream: ">"}, count=ENTRIES_AT_A_TIME, block=TAKE_WAIT_MS
            )
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            await self.open()  # Redis lost its data
            return Work([], [])
        return self._unpack(_entries(answer))

    async def adopt(self, living: Collection[str]) -> Work:
        """Take over the entries of workers that are not among the living, and our own that were lost.

        Redis may have given us entries in an answer that never arrived, or have gone away before ours did.
        """
        adopted: list[Entry] = []
        for consumer in await self._redis.xinfo_consumers(self._stream, GROUP):
            name = consumer["name"].decode()
            if name == self._worker_id:
                adopted += await self._claim(name, idle_ms=LOST_AFTER_MS)
            elif name not in living and consumer["pending"] == 0:
                await self._redis.xgroup_delconsumer(self._stream, GROUP, name)
            elif name not in living:
                adopted += await self._claim(name, idle_ms=0)
        return self._unpack(adopted)

    async def _claim(self, consumer: str, *, idle_ms: int) -> list[Entry]:
        pending: Any = await self._redis.xpending_range(
            self._stream,
            GROUP,
            min="-",
            max="+",
            count=PENDING_AT_A_TIME,
            consumername=consumer,
            idle=idle_ms,
        )
        ids = [entry["message_id"] for entry in pending if entry["message_id"] not in self._in_hand]
        if not ids:
            return []
        claimed: Any = await self._redis.xclaim(self._stream, GROUP, self._worker_id, idle_ms, ids)
        return list(claimed)

    def put_down(self, work: Work) -> None:
        """Nothing more is done for the work: what of it was not answered is lost, and will be adopted."""
        self._in_hand.difference_update(work.entry_ids)

    async def answer(self, replies: Iterable[tuple[Taken, Reply]], done: Sequence[EntryId]) -> None:
        """Send the replies and let go of the entries whose requests are all answered."""
        by_list: dict[str, list[Reply]] = defaultdict(list)
        for taken, reply in replies:
            by_list[taken.reply_to].append(reply)
        async with self._redis.pipeline(transaction=False) as pipe:
            for reply_to, packed in by_list.items():
                pipe.rpush(reply_to, encode(packed))
                pipe.expire(reply_to, REPLIES_TTL_S)
            if done:
                pipe.xack(self._stream, GROUP, *done)
                pipe.xdel(self._stream, *done)
            await pipe.execute()

    async def abandon(self) -> None:
        """Let the stream go after a while, unless another worker opens it."""
        await self._redis.expire(self._stream, ABANDONED_STREAM_TTL_S)

    def _unpack(self, entries: Iterable[Entry]) -> Work:
        work = Work([], [])
        for entry_id, fields in entries:
            work.entry_ids.append(entry_id)
            self._in_hand.add(entry_id)
            if fields:  # an entry that was deleted while it was pending comes without any
                work.requests.extend(self._requests(entry_id, fields[ENTRY_FIELD]))
        return work

    def _requests(self, entry_id: EntryId, packed: bytes) -> Iterable[Taken]:
        entry = decode_entry(packed)
        written = time.monotonic() - self._clock.age_ms(entry_id) / 1000
        for request in entry.requests:
            yield Taken(request, entry.reply_to, written + request.budget_ms / 1000)


def _entries(answer: Any) -> list[Entry]:
    """The entries in an answer to XREADGROUP on one stream, in either version of the protocol."""
    if not answer:
        return []
    if isinstance(answer, dict):
        return [entry for batch in next(iter(answer.values())) for entry in batch]
    entries: list[Entry] = answer[0][1]
    return entries
