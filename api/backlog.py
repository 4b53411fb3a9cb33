"""How much may wait in this process: for a version, and for a tenant. Past it the answer is 503, at once.

A version's backlog is bounded by its rows and by its age: how long a new request would wait, by the rate
at which the version was seen to answer while it was busy. The same rate makes `Retry-After` honest.
"""

import math
import time
from collections import defaultdict
from uuid import UUID

from shared.predictions.errors import ModelBusy, TooManyRows
from shared.settings import Settings

MEMORY_S = 2.0  # what was answered longer ago counts little for the rate
TRUSTED_AFTER_S = 0.25  # of being busy without a pause: before that, the rate says little
DEADLINE_SHARE = 0.8  # of a request's time that may go by in the queue
LONGEST_WAIT_S = 60.0  # that is reckoned with: a version that answers nothing may be back at any time


class _Drain:
    """The rows of one version that wait, and how fast they are answered."""

    __slots__ = ("busy_s", "busy_since", "changed_at", "has_answered", "rows", "rows_answered")

    def __init__(self) -> None:
        self.rows = 0
        self.has_answered = False
        self.rows_answered = self.busy_s = 0.0  # both fade, so that their quotient is the rate of late
        self.busy_since = self.changed_at = 0.0

    def add(self, rows: int, now: float) -> None:
        if not self.rows:
            self.busy_since = self.changed_at = now
        self.rows += rows

    def remove(self, rows: int, now: float, *, answered: bool) -> None:
        if answered and not self.has_answered:  # the first may have waited for the model to be loaded
            self.has_answered, answered = True, False
            self.busy_s, self.changed_at = 0.0, now
        fade = math.exp((self.changed_at - now) / MEMORY_S)
        self.busy_s = self.busy_s * fade + (now - self.changed_at)
        self.rows_answered = self.rows_answered * fade + (rows if answered else 0)
        self.changed_at = now
        self.rows -= rows

    def wait_s(self, now: float) -> float:
        """How long a row that comes now would wait; 0 where that is not known."""
        if not self.rows or now - self.busy_since < TRUSTED_AFTER_S or not self.rows_answered:
            return 0.0
        wait_s = self.rows * (self.busy_s + now - self.changed_at) / self.rows_answered
        return min(wait_s, LONGEST_WAIT_S)


class Backlog:
    """What waits in this process."""

    def __init__(self, settings: Settings) -> None:
        self._most_rows = settings.max_pending_rows
        self._most_s = settings.max_pending_s
        self._most_requests = settings.max_pending_requests
        self._drains: dict[UUID, _Drain] = {}
        self._requests: dict[UUID, int] = defaultdict(int)  # by tenant
        self._total = 0

    def waited_for(self) -> list[UUID]:
        """The versions that requests wait for. What is known of others is forgotten after a while."""
        self._forget_idle()
        return [version_id for version_id, drain in self._drains.items() if drain.rows]

    def check(self, tenant_id: UUID, version_id: UUID, *, left_s: float) -> None:
        """See whether one more request may wait: before anything is spent on reading it.

        Args:
            left_s: what is left of its deadline.

        Raises:
            ModelBusy: it would wait too long, or its tenant has its share of what may wait.
        """
        self._check_share(tenant_id)
        drain = self._drains.get(version_id)
        if drain is None:
            return
        wait_s = drain.wait_s(time.monotonic())
        most_s = min(self._most_s, DEADLINE_SHARE * left_s)
        if wait_s > most_s:
            text = f"a request would wait {wait_s:.1f} s for this model"
            raise ModelBusy(text, retry_after_s=max(1, math.ceil(wait_s - most_s / 2)))

    def enter(self, tenant_id: UUID, version_id: UUID, rows: int) -> None:
        """Count a request that will wait; `leave` ends it.

        Raises:
            TooManyRows: it is larger than anything that may wait.
            ModelBusy: too many rows wait.
        """
        now = time.monotonic()
        drain = self._drains.get(version_id)
        if drain is None:
            drain = self._drains[version_id] = _Drain()
        if rows > self._most_rows:
            raise TooManyRows(f"{rows} rows in one request; at most {self._most_rows}. Send a job for more")
        if drain.rows + rows > self._most_rows:
            retry_after_s = max(1, math.ceil(drain.wait_s(now) / 2))
            raise ModelBusy(f"{drain.rows} rows already wait for this model", retry_after_s=retry_after_s)
        drain.add(rows, now)
        self._requests[tenant_id] += 1
        self._total += 1

    def leave(self, tenant_id: UUID, version_id: UUID, rows: int, *, answered: bool) -> None:
        """Count off a request that no longer waits."""
        self._drains[version_id].remove(rows, time.monotonic(), answered=answered)
        self._total -= 1
        self._requests[tenant_id] -= 1
        if not self._requests[tenant_id]:
            del self._requests[tenant_id]

    def _forget_idle(self) -> None:
        oldest = time.monotonic() - 30 * MEMORY_S
        for version_id, drain in list(self._drains.items()):
            if not drain.rows and drain.changed_at < oldest:
                del self._drains[version_id]

    def _check_share(self, tenant_id: UUID) -> None:
        """Half of what may wait is for whoever comes; the other half is shared by the tenants who wait."""
        if self._total >= self._most_requests:
            raise ModelBusy("too many requests wait already", retry_after_s=1)
        half = self._most_requests // 2
        share = max(1, half // max(1, len(self._requests)))
        if self._total >= half and self._requests.get(tenant_id, 0) >= share:
            raise ModelBusy("too many of your requests wait already", retry_after_s=1)
