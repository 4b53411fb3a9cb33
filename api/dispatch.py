"""Gets flights to their answers: through the queue, or out of the cache, or with an equal one in flight."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from api.backlog import Backlog
from api.cache_entry import CacheEntry
from api.cache_headers import Forwarded, forwarded_header, hit_headers
from api.flight import Flight, Sharing
from api.predict_queue import COUNT_ONLY, PATIENCE_S, Asked, PredictQueue
from api.prediction_cache import PredictionCache
from shared.errors import DeadlineExceeded, PlatformError
from shared.predictions.cache_key import canonical
from shared.predictions.errors import PredictionTimeout, failure_to_error

CACHED_ROWS_BYTES: Final = 64 * 1024  # more rows than that nobody asks twice, and a digest of them takes time

_BYPASS: Final = [forwarded_header("bypass")]


class NotCached(DeadlineExceeded):
    """The request wants a stored reply or none (RFC 9111, only-if-cached), and there is none."""

    code = "not_cached"


class Dispatch:
    """Sends what has been read. Everything here is a callback: nothing waits."""

    def __init__(self, queue: PredictQueue, cache: PredictionCache, backlog: Backlog) -> None:
        self._queue, self._cache, self._backlog = queue, cache, backlog
        self._sharing: dict[bytes, Sharing] = {}  # by question

    def launch(self, flight: Flight) -> None:
        """Send a flight on its way.

        Raises:
            TooManyRows, ModelBusy: it may not wait; it was not sent.
            NotCached: it wants a stored reply, and there can be none.
        """
        cache_control, cached = flight.question.cache_control, _is_cached(flight)
        if cached and not cache_control.no_cache:
            self._share(flight)
        elif cache_control.only_if_cached:
            raise _not_cached()
        elif cached:
            self._compute_anew(flight)
        else:
            flight.cache_headers = _BYPASS
            self._compute(flight, limits=True)

    def abandon(self, flight: Flight) -> None:
        """Nobody waits for the flight any more; it is computed all the same if equal ones wait for it."""
        if flight.landed:
            return
        flight.landed = True
        asked, sharing = flight.asked, flight.sharing
        flight.let_go()
        if sharing is not None:
            self._leave(sharing)
        elif asked is not None:
            self._queue.withdraw(asked)

    def _compute(
        self, flight: Flight, *, limits: bool, on_end: Callable[[Flight], None] | None = None
    ) -> Asked:
        """Have the model answer.

        Args:
            limits: count it against them, too; not so where that is done.
            on_end: called before the flight lands.
        """
        rows, tenant_id, version_id = flight.body.rows, flight.tenant_id, flight.version_id
        self._backlog.enter(tenant_id, version_id, rows.rows)

        def end(asked: Asked) -> None:
            self._backlog.leave(tenant_id, version_id, rows.rows, answered=asked.reply is not None)
            flight.admission = flight.admission or asked.admission
            _take_outcome(flight, asked)
            if on_end is not None:
                on_end(flight)
            flight.land()

        return self._send(flight, flight.route.stream, end, limits=limits)

    def _send(self, flight: Flight, stream: str, end: Callable[[Asked], None], *, limits: bool) -> Asked:
        question = flight.question
        flight.asked = asked = Asked(
            stream,
            rows=flight.body.rows.rows,
            outputs=flight.body.outputs,
            body=flight.body.rows.body,
            deadline=question.deadline,
            limits=question.limits if limits else (),
            on_end=end,
            on_slow=question.on_slow,
        )
        self._queue.send(asked)
        return asked

    def _compute_anew(self, flight: Flight) -> None:
        """The caller wants no stored reply; others may have this one."""
        self._compute(flight, limits=True, on_end=self._end_anew)

    def _end_anew(self, flight: Flight) -> None:
        self._store(flight, "request")

    def _share(self, flight: Flight) -> None:
        """Count it and look for a stored reply, in one round trip; then decide."""
        flight.key = _key_of(flight)
        found: list[CacheEntry | None] = []
        left = 2 if flight.question.limits else 1

        def done() -> None:
            nonlocal left
            left -= 1
            if not left:
                self._decide(flight, found[0])

        def note_found(entry: CacheEntry | None) -> None:
            found.append(entry)
            done()

        def note_counted(asked: Asked) -> None:
            flight.admission, flight.error = asked.admission, asked.error
            done()

        if flight.question.limits:
            self._send(flight, COUNT_ONLY, note_counted, limits=True)
        self._cache.look(flight.key, note_found)

    def _decide(self, flight: Flight, entry: CacheEntry | None) -> None:
        """Take the stored reply, or wait for an equal flight's, or have it computed for all who come."""
        over = flight.error is not None or flight.landed
        if over or (entry is not None and self._take_stored(flight, entry)):
            flight.land()
        elif (sharing := self._sharing.get(flight.key)) is not None:
            self._follow(flight, sharing)
        else:
            self._lead(flight)

    def _follow(self, flight: Flight, sharing: Sharing) -> None:
        sharing.add(flight)
        if flight.timer is None:
            flight.timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._grow_impatient, flight)

    def _grow_impatient(self, flight: Flight) -> None:
        left_s = flight.question.deadline - time.monotonic()
        flight.timer = asyncio.get_running_loop().call_later(max(left_s, 0), self._overdue, flight)
        if flight.question.on_slow is not None:
            flight.question.on_slow()

    def _overdue(self, flight: Flight) -> None:
        """What it waited for has longer than it has itself."""
        sharing = flight.sharing
        flight.error = PredictionTimeout("the model did not answer before the deadline")
        flight.land()
        if sharing is not None:
            self._leave(sharing)

    def _leave(self, sharing: Sharing) -> None:
        """One of those who share waits no longer; the last one ends it."""
        sharing.waiting -= 1
        if not sharing.waiting:
            self._queue.withdraw(sharing.asked)

    def _take_stored(self, flight: Flight, entry: CacheEntry) -> bool:
        now_ms = int(time.time() * 1000)
        age_s, ttl_s = entry.age_s(now_ms), entry.ttl_s(now_ms)
        if not flight.question.cache_control.accepts(age_s=age_s, ttl_s=ttl_s):
            return False
        flight.reply, flight.cached = entry.reply(), True
        flight.cache_headers = hit_headers(age_s=age_s, ttl_s=ttl_s)
        return True

    def _lead(self, flight: Flight) -> None:
        if flight.question.cache_control.only_if_cached:
            flight.error = _not_cached()
            flight.land()
            return
        flight.end_timer()  # its computation has one
        flight.sharing = sharing = self._sharing[flight.key] = Sharing()
        try:
            sharing.asked = self._compute(flight, limits=False, on_end=self._end_lead)
        except PlatformError as error:
            flight.error = error
            self._end_lead(flight)
            flight.land()

    def _end_lead(self, leader: Flight) -> None:
        """Give the leader's reply to those who waited for it; an error of its own, to nobody."""
        sharing = self._sharing.pop(leader.key)
        stored = self._store(leader, "miss")
        for follower in sharing.followers:
            if leader.reply is None:
                self._decide(follower, None)
                continue
            follower.reply, follower.error = leader.reply, leader.error
            follower.cache_headers = [forwarded_header("miss", stored=stored, collapsed=True)]
            follower.land()

    def _store(self, flight: Flight, why: Forwarded) -> bool:
        """Keep the reply for later requests, if it is one to keep."""
        stored = False
        if flight.reply is not None and not flight.question.cache_control.no_store:
            key = flight.key or _key_of(flight)
            stored = self._cache.put(key, flight.reply, ttl_ms=flight.route.cache_ttl_ms)
        flight.cache_headers = [forwarded_header(why, stored=stored)]
        return stored


def _not_cached() -> NotCached:
    return NotCached("no stored reply, and the request wants no other")


def _is_cached(flight: Flight) -> bool:
    return bool(flight.route.cache_ttl_ms) and len(flight.body.rows.body) <= CACHED_ROWS_BYTES


def _key_of(flight: Flight) -> bytes:
    """Of the question; tenants share no replies, or the age of one would tell of another's questions."""
    artifact = f"{flight.tenant_id}:{flight.route.version.artifact_digest}"
    return canonical(flight.body.rows, flight.body.outputs, artifact)


def _take_outcome(flight: Flight, asked: Asked) -> None:
    flight.reply, flight.error = asked.reply, asked.error
    if asked.reply is not None and asked.reply.failure is not None:
        flight.error = failure_to_error(asked.reply.failure)
