"""What was counted of one version in some stretch of time."""

from typing import Self
from uuid import UUID

from shared.analytics.histogram import BUCKETS, added
from shared.analytics.outcome import OUTCOMES


class Tally:
    """Counts that grow. Histograms are those of shared.analytics.histogram.

    Attributes:
        outcomes: requests by outcome.
        rows: that were predicted.
        cache_hits: requests that the cache answered; the other `ok` ones it did not.
        queue: how long requests waited for their model.
        compute: how long the model took for them; like `queue` only of those that it answered.
        total: from the request to the answer, of all but shared.analytics.outcome.UNTIMED.
        queue_us: the sum of what `queue` counts; likewise the two others.
    """

    __slots__ = (
        "cache_hits",
        "compute",
        "compute_us",
        "model_id",
        "outcomes",
        "queue",
        "queue_us",
        "rows",
        "total",
        "total_us",
        "version_id",
    )

    def __init__(self, model_id: UUID, version_id: UUID) -> None:
        self.model_id, self.version_id = model_id, version_id
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.rows = self.cache_hits = 0
        self.queue_us = self.compute_us = self.total_us = 0
        self.queue, self.compute, self.total = [0] * BUCKETS, [0] * BUCKETS, [0] * BUCKETS

    @property
    def requests(self) -> int:
        """Of every outcome."""
        return sum(self.outcomes.values())

    def add(self, other: Self) -> None:
        """Count what the other counted, too."""
        for outcome, requests in other.outcomes.items():
            self.outcomes[outcome] += requests
        self.rows += other.rows
        self.cache_hits += other.cache_hits
        self.queue_us += other.queue_us
        self.compute_us += other.compute_us
        self.total_us += other.total_us
        self.queue = added(self.queue, other.queue)
        self.compute = added(self.compute, other.compute)
        self.total = added(self.total, other.total)
