"""What a model's owner is told of its use."""

from datetime import datetime

import msgspec

from shared.analytics.histogram import Durations
from shared.analytics.window import Step


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """In milliseconds, within 10 %; zeros if nothing was measured."""

    p50: float
    p99: float


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """All versions over the whole time.

    Attributes:
        requests: of every outcome.
        by_outcome: every outcome is there, if only with 0.
        rows: that were predicted.
        cache_hits: requests that the cache answered.
        error_rate: the share of requests that ended `overloaded`, `loading`, `timeout` or `failed`.
        queue_ms: how long requests waited for their model.
        compute_ms: how long the model took for them.
        total_ms: until the answer was ready, of all requests but the `invalid`, `limited`, `overloaded`
            and `cancelled`.
    """

    requests: int
    by_outcome: dict[str, int]
    rows: int
    cache_hits: int
    error_rate: float
    queue_ms: Durations
    compute_ms: Durations
    total_ms: Durations


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One version in one step. A step without requests has no point.

    Attributes:
        start: of the step.
        version: its number.
    """

    start: datetime
    version: int
    requests: int
    by_outcome: dict[str, int]
    rows: int
    cache_hits: int
    total_ms: Percentiles


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The use of a model.

    Attributes:
        model: its name.
        from_: where the first step begins.
        to: what began at this time or later is not counted.
        series: by time, then by version.
    """

    model: str
    from_: datetime = msgspec.field(name="from")
    to: datetime
    step: Step
    totals: Totals
    series: list[Point]
