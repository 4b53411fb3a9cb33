"""A worker's end of the request/reply queue, for one version.

An entry that a worker took stays pending until it is answered. What a dead worker had taken is
adopted by another that holds the version: prediction is pure, so that doing it twice is harmless.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any
from uuid import UUID

import structlog
from msgspec import MsgspecError
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from shared.background import end_tasks
from shared.messaging.redis_pipe import Answer, RedisPipe, pack
from shared.predictions.keys import ABANDONED_STREAM_TTL_S, GROUP, REPLIES_TTL_S, request_stream
from shared.predictions.wire import Reply, decode_request, encode
from workers.predict.redis_clock import RedisClock
from workers.predict.taken import Entry, Taken

log = structlog.get_logger()

ENTRIES_AT_A_TIME = 8
TAKE_WAIT_MS = 1000
SILENCE_S = 5.0  # without an answer for so long, a connection to Redis is taken for dead
PENDING_AT_A_TIME = 64  # entries that were taken and not answered, looked at in one go
LOST_AFTER_MS = 1000  # an entry of our own that is not in our hands: the answer that brought it was lost
UNBLOCK_PAUSE_S = 0.002  # between looks whether a blocking command has ended
REFUSED_PAUSE_S = 0.1  # before Redis is asked again, where it refused

OnRequests = Callable[[list[Taken]], None]


class RequestQueue:
    """Takes the requests for one version, and answers them."""

    def __init__(
        self, redis: Redis, redis_url: str, clock: RedisClock, *, version_id: UUID, worker_id: str
    ) -> None:
        self._redis, self._clock = redis, clock
        self._stream, self._worker_id = request_stream(version_id), worker_id
        self._reader = RedisPipe(redis_url, silence_s=SILENCE_S)
        self._writer = RedisPipe(redis_url, silence_s=SILENCE_S)
        self._take = pack(
            (
                *("XREADGROUP", "GROUP", GROUP, worker_id, "COUNT", ENTRIES_AT_A_TIME),
                *("BLOCK", TAKE_WAIT_MS, "STREAMS", self._stream, ">"),
            )
        )
        self._in_hand: set[bytes] = set()  # ids of the entries that are not answered yet
        self._on_requests: OnRequests = _nobody
        self._wanted = self._taking = False
        self._reader_id = 0  # by which Redis knows the connection that waits for requests
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, on_requests: OnRequests) -> None:
        """See to it that the stream and its group are there; what already waits in it counts.

        Args:
            on_requests: called with what `want` brought.
        """
        self._on_requests = on_requests
        await self._make_group()
        await self._redis.persist(self._stream)
        self._tasks = [
            asyncio.create_task(self._reader.stay_connected(self._begin_reading)),
            asyncio.create_task(self._writer.stay_connected(_nothing)),
        ]

    async def stop_taking(self) -> None:
        """Take nothing more; what Redis has given us already has come by `on_requests` when this returns."""
        self._wanted = False
        if self._taking:
            with contextlib.suppress(RedisError, OSError):
                await self._writer.call("CLIENT", "UNBLOCK", self._reader_id)
        while self._taking:  # noqa: ASYNC110  an event would be work on the path of every request
            await asyncio.sleep(UNBLOCK_PAUSE_S)

    async def close(self) -> None:
        """Let go of the stream, which goes after a while unless another worker opens it."""
        await end_tasks(*self._tasks)
        self._reader.close()
        self._writer.close()
        await self._redis.expire(self._stream, ABANDONED_STREAM_TTL_S)

    def want(self, *, more: bool) -> None:
        """Say whether more requests are to be taken; they come by `on_requests`, as long as this holds."""
        self._wanted = more
        self._begin()

    async def adopt(self, living: Collection[str]) -> list[Taken]:
        """Take over the entries of workers that are not among the living, and our own that were lost.

        Redis may have given us entries in an answer that never arrived, or have gone away before ours did.
        """
        try:
            consumers = await self._redis.xinfo_consumers(self._stream, GROUP)
        except ResponseError:  # Redis lost its data
            await self._make_group()
            return []
        adopted: list[Any] = []
        for consumer in consumers:
            name = consumer["name"].decode()
            ours, has_any = name == self._worker_id, consumer["pending"] > 0
            if ours and has_any:
                adopted += await self._claim(name, idle_ms=LOST_AFTER_MS)
            elif not ours and name not in living and has_any:
                adopted += await self._claim(name, idle_ms=0)
            elif not ours and name not in living:
                await self._redis.xgroup_delconsumer(self._stream, GROUP, name)
        return self._unpack(adopted)

    def answer(self, replies: Iterable[tuple[Taken, Reply]]) -> None:
        """Send the replies, and let go of the entries whose requests are all answered."""
        by_list: dict[bytes, list[Reply]] = defaultdict(list)
        done: list[bytes] = []
        for taken, reply in replies:
            by_list[taken.reply_to].append(reply)
            _count_off(taken, done)
        commands: list[tuple[Any, ...]] = [
            ("RPUSH", reply_to, encode(packed)) for reply_to, packed in by_list.items()
        ]
        commands += [("EXPIRE", reply_to, REPLIES_TTL_S) for reply_to in by_list]
        self._send(commands, done)

    def drop(self, requests: Iterable[Taken]) -> None:
        """Let go of requests for which nobody waits."""
        done: list[bytes] = []
        for taken in requests:
            _count_off(taken, done)
        self._send([], done)

    def _send(self, commands: list[tuple[Any, ...]], done: list[bytes]) -> None:
        if done:
            commands += [("XACK", self._stream, GROUP, *done), ("XDEL", self._stream, *done)]
        if not commands:
            return
        # Answered or not, they leave our hands: what of it was lost on the way will be adopted.
        last = lambda told: self._put_down(done, told)  # noqa: E731
        self._writer.post(b"".join(map(pack, commands)), [*[_told] * (len(commands) - 1), last])

    def _put_down(self, done: list[bytes], told: Answer) -> None:
        _told(told)
        self._in_hand.difference_update(done)

    async def _begin_reading(self) -> None:
        self._reader_id = await self._reader.call("CLIENT", "ID")
        self._begin()

    def _begin(self) -> None:
        """Ask Redis for requests, unless that is under way: what two answers brought could not be stopped."""
        if self._wanted and not self._taking and self._reader.connected:
            self._taking = True
            self._reader.post(self._take, (self._took,))

    def _took(self, told: Answer) -> None:
        self._taking = False
        if isinstance(told, RedisConnectionError):
            return  # the next connection begins anew
        if isinstance(told, Exception):
            self._refused(told)
            return
        if told:
            self._on_requests(self._unpack(told[0][1]))
        self._begin()

    def _refused(self, error: Exception) -> None:
        if str(error).startswith("NOGROUP"):  # Redis lost its data
            asyncio.get_running_loop().create_task(self._make_group()).add_done_callback(_log_failure)
        else:
            log.error("requests not taken", error=str(error))
        asyncio.get_running_loop().call_later(REFUSED_PAUSE_S, self._begin)

    async def _make_group(self) -> None:
        try:
            await self._redis.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _claim(self, consumer: str, *, idle_ms: int) -> list[Any]:
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
        # Not by redis-py, which makes a dict of an entry's fields and keeps one of each name.
        claimed = await self._writer.call("XCLAIM", self._stream, GROUP, self._worker_id, idle_ms, *ids)
        return list(claimed)

    def _unpack(self, entries: Iterable[tuple[bytes, list[bytes] | None]]) -> list[Taken]:
        requests: list[Taken] = []
        now = time.monotonic()
        for entry_id, fields in entries:
            self._in_hand.add(entry_id)
            own = self._requests(entry_id, fields or [], now)
            requests += own
            if not own:
                self._send([], [entry_id])
        return requests

    def _requests(self, entry_id: bytes, fields: list[bytes], now: float) -> list[Taken]:
        """The requests of an entry: its fields are where replies go, then name and content of each.

        There are none in one that was deleted while it was pending.
        """
        age_s = self._clock.age_ms(entry_id) / 1000
        packed = fields[3::2]
        entry = Entry(entry_id, len(packed))
        try:
            return [
                Taken(decode_request(request), entry, reply_to=fields[1], taken_at=now, age_s=age_s)
                for request in packed
            ]
        except MsgspecError as error:  # of another release, or of somebody else: it must stop nobody
            log.warning("requests not understood", error=str(error))
            return []


def _count_off(taken: Taken, done: list[bytes]) -> None:
    taken.entry.open_requests -= 1
    if not taken.entry.open_requests:
        done.append(taken.entry.id)


def _told(told: Answer) -> None:
    if isinstance(told, Exception) and not isinstance(told, RedisConnectionError):
        log.error("answer refused by Redis", error=str(told))


def _log_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.warning("stream not made anew", error=str(task.exception()))


def _nothing() -> None:
    pass


def _nobody(requests: list[Taken]) -> None:
    raise RuntimeError(f"{len(requests)} requests came before the queue was opened")
