"""A prediction from its question to its answer."""

import asyncio
import time
from collections.abc import Callable
from uuid import UUID

import msgspec

from api.admission import Admission
from api.cache_headers import CacheControl
from api.predict_queue import Asked, OnSlow
from api.routing import Route
from shared.access.caller import Caller
from shared.errors import PlatformError
from shared.limits.policy import Limit
from shared.predictions.body import PredictBody
from shared.predictions.wire import Reply


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a client sends.

    Attributes:
        model: name or id.
        limits: that the caller is counted against.
        deadline: monotonic seconds.
        cache_control: what it says about stored replies.
        on_slow: called once if there is no answer after a moment.
    """

    caller: Caller
    model: str
    body: bytes
    deadline: float
    limits: tuple[Limit, ...] = ()
    content_type: bytes | None = None
    inference_header: bytes | None = None
    query: bytes = b""
    cache_control: CacheControl = CacheControl()
    on_slow: OnSlow | None = None


class Flight:
    """A question on its way to its answer: one of `reply` and `error` is set when it has landed.

    Attributes:
        started: monotonic seconds.
        rows: how many it has; 0 while they are not read.
        asked: what is under way for it now, counting it or computing it.
        admission: where the caller's limits stand.
        cache_headers: what HTTP says about the cache.
        cached: the reply was stored before.
        key: of the question among all, where replies are stored.
        sharing: what it has in common with equal ones in flight, if it shares a computation.
        timer: of one that waits for another's reply.
    """

    __slots__ = (
        "admission",
        "asked",
        "body",
        "cache_headers",
        "cached",
        "error",
        "key",
        "landed",
        "on_end",
        "question",
        "reply",
        "route",
        "rows",
        "sharing",
        "started",
        "timer",
    )

    def __init__(self, question: Question, *, on_end: "OnLanded") -> None:
        self.question, self.on_end = question, on_end
        self.started = time.monotonic()
        self.route: Route
        self.body: PredictBody
        self.rows = 0
        self.asked: Asked | None = None
        self.admission: Admission | None = None
        self.reply: Reply | None = None
        self.error: PlatformError | None = None
        self.cache_headers: list[tuple[bytes, bytes]] = []
        self.cached = self.landed = False
        self.key = b""
        self.sharing: Sharing | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def tenant_id(self) -> UUID:
        """Whose it is."""
        return self.question.caller.tenant_id

    @property
    def version_id(self) -> UUID:
        """Which version it asks."""
        return self.route.version.version_id

    def land(self) -> None:
        """It has its reply, or its error: tell, unless nobody waits any more."""
        if not self.landed:
            self.landed = True
            on_end = self.on_end
            self.let_go()
            on_end(self)

    def let_go(self) -> None:
        """Forget who waits. A cycle of references would be left to the garbage collector's pauses."""
        self.on_end, self.asked, self.sharing = _nobody_waits, None, None
        self.end_timer()

    def end_timer(self) -> None:
        """It waits for no other any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Sharing:
    """Equal flights, of which one is computed for all.

    Attributes:
        asked: their computation.
        followers: all but the one that leads; some may have landed meanwhile.
        waiting: how many have not landed.
    """

    __slots__ = ("asked", "followers", "waiting")

    def __init__(self) -> None:
        self.asked: Asked
        self.followers: list[Flight] = []
        self.waiting = 1

    def add(self, flight: Flight) -> None:
        """One more waits for the reply."""
        flight.sharing = self
        self.followers.append(flight)
        self.waiting += 1


OnLanded = Callable[[Flight], None]


def _nobody_waits(flight: Flight) -> None:
    raise RuntimeError(f"a flight for {flight.question.model!r} landed twice")
