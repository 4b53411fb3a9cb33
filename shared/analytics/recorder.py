"""Counts prediction requests in memory, and hands the counts over once a second.

Counting directly costs 0.5 µs a request. Noting each request and counting later costs as much in
all, and makes requests wait while a second's worth is counted.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from shared.analytics.backlog import Backlog
from shared.analytics.histogram import BOUNDS_US
from shared.analytics.outcome import OK, UNTIMED
from shared.analytics.overall import Overall
from shared.analytics.service import add_counts
from shared.analytics.tally import Tally
from shared.background import end_tasks
from shared.clock import utc_now
from shared.database.engine import Database
from shared.metrics.family import Family
from shared.metrics.registry import counter, gauge
from shared.settings import Settings

log = structlog.get_logger()

FLUSH_S: Final = 1.0
_FLUSH_LIMIT_S = 5.0  # a PostgreSQL that takes longer is tried again at the next flush
_MINUTE = timedelta(minutes=1)

_dropped = counter(
    "modelyard_statistics_dropped_requests_total",
    "Requests missing from the analytics, because PostgreSQL was away for too long.",
)
_waiting = gauge(
    "modelyard_statistics_waiting_rows", "Rows of the analytics that wait for PostgreSQL, of all processes."
)


class Recorder:
    """Counts requests by version and minute. A crash loses what was counted since the last flush."""

    def __init__(
        self, settings: Settings, database: Database, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._database, self._now = database, now
        self._counting: dict[UUID, Tally] = {}  # since `_since`
        self._since = now()
        self._backlog = Backlog()
        self._overall = Overall()
        self._sending = asyncio.Lock()
        self._flushing: asyncio.Task[None] | None = None
        self._away = False  # PostgreSQL, when it was last tried
        if not settings.statistics:
            self.record = self._ignore  # type: ignore[method-assign]

    def record(
        self,
        model_id: UUID,
        version_id: UUID,
        outcome: str,
        *,
        rows: int,
        cached: bool,
        queue_us: int,
        compute_us: int,
        total_us: int,
    ) -> None:
        """Count a request.

        Args:
            outcome: one of shared.analytics.outcome.
            rows: predicted, if it was answered.
            compute_us: 0 if the model did not answer it; `queue_us` tells nothing then.
        """
        tally = self._counting.get(version_id)
        if tally is None:
            tally = self._counting[version_id] = Tally(model_id, version_id)
        tally.outcomes[outcome] += 1
        if outcome in UNTIMED:
            return
        tally.total[bisect_left(BOUNDS_US, total_us)] += 1
        tally.total_us += total_us
        if outcome == OK:
            tally.rows += rows
            if cached:
                tally.cache_hits += 1
        if compute_us:
            tally.queue[bisect_left(BOUNDS_US, queue_us)] += 1
            tally.queue_us += queue_us
            tally.compute[bisect_left(BOUNDS_US, compute_us)] += 1
            tally.compute_us += compute_us

    async def start(self) -> None:
        """Begin to flush."""
        self._flushing = asyncio.create_task(self._flush_for_ever())

    async def close(self) -> None:
        """Stop, and flush what is left."""
        async with self._sending:  # a flush that is cut may have come to PostgreSQL, and would come again
            if self._flushing is not None:
                await end_tasks(self._flushing)
        await self.flush()
        if requests := self._backlog.requests():
            _dropped.inc(requests)
            log.warning("statistics lost", requests=requests)

    async def flush(self) -> None:
        """Bring the counts to PostgreSQL. If it is away, they are kept for the next time."""
        self.take()
        try:
            async with self._sending:
                await self._send()
        except Exception as error:  # noqa: BLE001  asyncpg's own errors too; whatever it is, the counts are kept
            if not self._away:
                log.warning("statistics wait for postgres", error=type(error).__name__)
            self._away = True
        else:
            self._away = False
        _waiting.set(len(self._backlog))

    def families(self) -> Iterable[Family]:
        """All that was counted since the process started, as metrics."""
        self.take()
        return self._overall.families()

    def take(self) -> None:
        """Set aside what was counted since the last time, as of the minute in which that began."""
        counted, self._counting = self._counting, {}
        minute, self._since = _minute_of(self._since), self._now()
        for tally in counted.values():
            self._overall.add(tally)
        _dropped.inc(self._backlog.add(minute, counted.values()))

    async def _send(self) -> None:
        while rows := self._backlog.take():
            try:
                async with asyncio.timeout(_FLUSH_LIMIT_S), self._database.transaction() as session:
                    await add_counts(session, rows)
            except BaseException:
                _dropped.inc(self._backlog.put_back(rows))
                raise

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_pause_s(self._now()))
            await self.flush()

    def _ignore(
        self,
        model_id: UUID,
        version_id: UUID,
        outcome: str,
        *,
        rows: int,
        cached: bool,
        queue_us: int,
        compute_us: int,
        total_us: int,
    ) -> None:
        """Count nothing: the settings say so."""


def _minute_of(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _pause_s(now: datetime) -> float:
    """Until the next flush: at the latest when the minute ends, so that its counts are its own."""
    return min(FLUSH_S, (_minute_of(now) + _MINUTE - now).total_seconds())
