"""The API's end of the request/reply queue: requests out in coalesced writes, replies back to who waits.

What one turn of the event loop gathers for a version leaves as one entry: nobody waits for company, and
under load the entries grow by themselves. Nothing here is a task for each request: timers and callbacks do.
"""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError

from api.admission import ADMIT, Admission, admission_of, admit_command
from shared.background import end_tasks
from shared.errors import PlatformError
from shared.limits.policy import Limit
from shared.messaging.redis_pipe import RedisPipe, pack
from shared.predictions.errors import PredictionTimeout, QueueUnreachable, RequestWithdrawn
from shared.predictions.keys import WITHDRAWN_CHANNEL, reply_list
from shared.predictions.wire import MAX_ENTRY_ROWS, Reply, Request, Withdrawn, encode, readable_replies

log = structlog.get_logger()

LARGE_ROW_BYTES = 64 * 1024  # a body counts as a row for each, so that entries of images stay small too
REPLIES_AT_A_TIME = 64
REPLY_WAIT_S = 1
SILENCE_S = 5.0  # without an answer for so long, a connection to Redis is taken for dead
PATIENCE_S = 0.02  # a request that takes longer may be watched for a client that leaves

COUNT_ONLY = ""  # in place of a stream: count the request against its limits, and queue nothing

OnEnd = Callable[["Asked"], None]
OnSlow = Callable[[], None]


class Asked:
    """One request on its way.

    Attributes:
        reply: what came of it; or else
        error: why nothing did: PredictionTimeout, QueueUnreachable, RateLimited.
        admission: where its caller's limits stand, once Redis has counted it.
    """

    __slots__ = (
        "admission",
        "body",
        "deadline",
        "ended",
        "error",
        "id",
        "limits",
        "on_end",
        "on_slow",
        "outputs",
        "reply",
        "rows",
        "sent",
        "stream",
        "timer",
    )

    def __init__(
        self,
        stream: str,
        *,
        rows: int,
        outputs: tuple[str, ...],
        body: bytes,
        deadline: float,
        limits: tuple[Limit, ...],
        on_end: OnEnd,
        on_slow: OnSlow | None,
    ) -> None:
        """Describe a request.

        Args:
            stream: of the version that is asked, or COUNT_ONLY.
            deadline: in monotonic seconds; past it nobody waits and no worker computes.
            on_end: called once, when there is a reply or an error, unless it was withdrawn before.
            on_slow: called once if there is neither after a moment.
        """
        self.stream, self.rows, self.outputs, self.body = stream, rows, outputs, body
        self.deadline, self.limits, self.on_end, self.on_slow = deadline, limits, on_end, on_slow
        self.id = 0
        self.sent = self.ended = False
        self.admission: Admission | None = None
        self.reply: Reply | None = None
        self.error: PlatformError | None = None
        self.timer: asyncio.TimerHandle

    def let_go(self) -> None:
        """Forget who waits. A cycle of references would be left to the garbage collector's pauses."""
        self.on_end, self.on_slow = _nobody_waits, None
        del self.timer

    def packed(self, now: float) -> bytes:
        """In the form that travels: what is left of the deadline instead of a time of this machine."""
        budget_ms = int((self.deadline - now) * 1000)
        return encode(Request(self.id, budget_ms, self.rows, self.outputs, self.body))


class PredictQueue:
    """Sends requests to predict workers and hands each reply to the call that waits for it."""

    def __init__(self, redis_url: str) -> None:
        self._writer = RedisPipe(redis_url, silence_s=SILENCE_S)
        self._reader = RedisPipe(redis_url, silence_s=SILENCE_S)
        self._reply_to = reply_list(uuid4().hex)
        self._await_replies = pack(
            ("BLMPOP", REPLY_WAIT_S, 1, self._reply_to, "LEFT", "COUNT", REPLIES_AT_A_TIME)
        )
        self._ids = itertools.count()
        self._waiting: dict[int, Asked] = {}
        self._outbox: list[Asked] = []
        self._withdrawn: list[int] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect, and stay connected."""
        self._tasks = [
            asyncio.create_task(self._writer.stay_connected(self._begin_writing)),
            asyncio.create_task(self._reader.stay_connected(self._begin_reading)),
        ]

    async def close(self) -> None:
        """Let go of the connections."""
        await end_tasks(*self._tasks)
        self._writer.close()
        self._reader.close()

    def send(self, asked: Asked) -> None:
        """Send a request with the others of this turn of the event loop."""
        loop = asyncio.get_running_loop()
        asked.id = next(self._ids)
        asked.timer = loop.call_later(PATIENCE_S, self._grow_impatient, asked)
        self._waiting[asked.id] = asked
        if not self._outbox:
            loop.call_soon(self._write)
        self._outbox.append(asked)

    def withdraw(self, asked: Asked) -> None:
        """Nobody waits for it any more: end it, and tell workers that they need not compute it."""
        if asked.ended:
            return
        if asked.sent:
            if not self._withdrawn:
                asyncio.get_running_loop().call_soon(self._tell_withdrawn)
            self._withdrawn.append(asked.id)
        self._fail(asked, RequestWithdrawn("nobody waits for the answer any more"))

    def _end(self, asked: Asked) -> None:
        """It has its reply, or an error."""
        if not asked.ended:
            self._let_go(asked)
            on_end = asked.on_end
            asked.let_go()
            on_end(asked)

    def _fail(self, asked: Asked, error: PlatformError) -> None:
        asked.error = error
        self._end(asked)

    def _let_go(self, asked: Asked) -> None:
        asked.ended = True
        asked.timer.cancel()
        del self._waiting[asked.id]

    def _grow_impatient(self, asked: Asked) -> None:
        left_s = asked.deadline - time.monotonic()
        asked.timer = asyncio.get_running_loop().call_later(max(left_s, 0), self._overdue, asked)
        if asked.on_slow is not None:
            asked.on_slow()

    def _overdue(self, asked: Asked) -> None:
        if self._writer.connected and self._reader.connected:
            error: PlatformError = PredictionTimeout("the model did not answer before the deadline")
        else:
            error = QueueUnreachable("the request queue does not answer; try again")
        self._fail(asked, error)

    def _write(self) -> None:
        """Send what has gathered; without a connection it stays, and leaves with the next one."""
        if not self._writer.connected:
            self._outbox = []  # all of it waits, and is sent with the next connection
            return
        outbox, self._outbox = self._outbox, []
        now = time.monotonic()
        for entry in _entries(outbox):
            alive = [asked for asked in entry if asked.deadline > now and not asked.ended]
            if alive:
                self._send(alive, now)

    def _send(self, entry: list[Asked], now: float) -> None:
        """Queue requests for one version under the same limits."""
        stream, limits = entry[0].stream, entry[0].limits
        requests = [asked.packed(now) for asked in entry]
        for asked in entry:
            asked.sent = True
        command = admit_command(stream, limits, self._reply_to, requests)
        self._writer.post(pack(command), (lambda told: self._admitted(entry, limits, told),))

    def _admitted(self, entry: list[Asked], limits: tuple[Limit, ...], told: Any) -> None:
        """Redis has counted and queued: the first of the entry, or all."""
        if isinstance(told, RedisConnectionError):
            return  # whatever waits is sent again with the next connection
        if isinstance(told, Exception):
            self._refused(entry, told)
            return
        admission = admission_of(limits, told)
        for asked in entry[: admission.granted]:
            asked.admission = admission
            if asked.reply is not None or not asked.stream:
                self._end(asked)
        for asked in entry[admission.granted :]:
            asked.sent = False
            self._fail(asked, admission.refusal())

    def _refused(self, entry: list[Asked], error: Exception) -> None:
        if str(error).startswith("NOSCRIPT"):  # SCRIPT FLUSH, or another server behind the same address
            self._writer.post(pack(("SCRIPT", "LOAD", ADMIT)), (_ignore,))
            self._outbox += entry
            self._write()
            return
        log.error("requests not queued", error=str(error))
        for asked in entry:
            self._fail(asked, QueueUnreachable("the request queue refuses requests; try again"))

    def _begin_reading(self) -> None:
        self._reader.post(self._await_replies, (self._read,))
        self._send_again()

    def _read(self, told: Any) -> None:
        if isinstance(told, RedisConnectionError):
            return
        self._reader.post(self._await_replies, (self._read,))
        if isinstance(told, Exception):
            log.error("replies not read", error=str(told))
        elif told:
            self._hand_out(told[1])

    def _hand_out(self, packed: list[bytes]) -> None:
        for item in packed:
            for reply in readable_replies(item):
                asked = self._waiting.get(reply.id)
                if asked is not None:
                    asked.reply = reply
                    if asked.admission is not None:
                        self._end(asked)

    def _begin_writing(self) -> None:
        self._writer.post(pack(("SCRIPT", "LOAD", ADMIT)), (_ignore,))
        self._send_again()

    def _send_again(self) -> None:
        """Send all that waits: Redis may have lost it, or its reply was lost on the way.

        A prediction done twice is harmless, and the second reply finds nobody waiting. What was counted
        against a limit once is not counted again.
        """
        for asked in self._waiting.values():
            if asked.sent:
                asked.limits = ()
        self._outbox = list(self._waiting.values())
        self._write()

    def _tell_withdrawn(self) -> None:
        withdrawn, self._withdrawn = self._withdrawn, []
        message = encode(Withdrawn(self._reply_to, withdrawn))
        self._writer.post(pack(("PUBLISH", WITHDRAWN_CHANNEL, message)), (_ignore,))


def _entries(outbox: list[Asked]) -> Iterator[list[Asked]]:
    """The requests by version and limits, in entries of at most MAX_ENTRY_ROWS; a larger one alone."""
    entries: dict[tuple[str, int], list[Asked]] = {}
    rows: dict[tuple[str, int], int] = defaultdict(int)
    for asked in outbox:
        key = (asked.stream, id(asked.limits))  # a caller's limits are one tuple: no need to compare them
        size = max(asked.rows, len(asked.body) // LARGE_ROW_BYTES)
        if rows[key] and rows[key] + size > MAX_ENTRY_ROWS:
            yield entries.pop(key)
            rows[key] = 0
        entries.setdefault(key, []).append(asked)
        rows[key] += size
    yield from entries.values()


def _nobody_waits(asked: Asked) -> None:
    raise RuntimeError(f"request {asked.id} ended twice")


def _ignore(told: Any) -> None:
    pass
