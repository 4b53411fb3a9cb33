"""The metrics of this process, by name.

    failed_open = counter("modelyard_rate_limit_failed_open_total", "Requests let through unlimited.")
    failed_open.inc()

They are made once, where a module begins.
"""

import re
from collections.abc import Sequence
from typing import Final, TypeVar

from shared.metrics.family import Family, Kind
from shared.metrics.metric import Counter, Gauge, Histogram, MetricMisused

# Bounds in seconds, for what takes from half a millisecond to a minute.
SECONDS: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)

M = TypeVar("M", Counter, Gauge, Histogram)

_NAME = re.compile(r"modelyard_[a-z0-9_]+")


class Registry:
    """Metrics by name. Whoever asks for one that is there gets that."""

    def __init__(self) -> None:
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}

    def families(self) -> list[Family]:
        """All of them as of now."""
        return [metric.snapshot() for metric in list(self._metrics.values())]

    def counter(
        self, name: str, help_text: str, *, labels: Sequence[str] = (), open_labels: int | None = None
    ) -> Counter:
        """A counter; its name ends in `_total`, its unit stands before that."""
        if not name.endswith("_total"):
            raise MetricMisused(f"the name of a counter ends in _total, unlike {name}")
        return self._keep(Counter(_family(name, Kind.COUNTER, help_text, labels, open_labels=open_labels)))

    def gauge(self, name: str, help_text: str, *, labels: Sequence[str] = (), each: bool = False) -> Gauge:
        """A gauge; those of all processes are added, or stand each for itself."""
        return self._keep(Gauge(_family(name, Kind.GAUGE, help_text, labels, each=each)))

    def histogram(
        self,
        name: str,
        help_text: str,
        *,
        bounds: Sequence[float] = SECONDS,
        labels: Sequence[str] = (),
        open_labels: int | None = None,
    ) -> Histogram:
        """A histogram; its name ends in its unit, which is a base unit: seconds, bytes."""
        family = _family(name, Kind.HISTOGRAM, help_text, labels, open_labels=open_labels, bounds=bounds)
        return self._keep(Histogram(family))

    def _keep(self, metric: M) -> M:
        known = self._metrics.setdefault(metric.family.name, metric)
        if not isinstance(known, type(metric)) or not known.family.is_like(metric.family):
            raise MetricMisused(f"there is another metric named {metric.family.name}")
        return known


def _family(
    name: str,
    kind: Kind,
    help_text: str,
    labels: Sequence[str],
    *,
    open_labels: int | None = None,
    bounds: Sequence[float] = (),
    each: bool = False,
) -> Family:
    if not _NAME.fullmatch(name):
        raise MetricMisused(f"{name!r} is no name for a metric: modelyard_, small letters, digits and _")
    return Family(
        name=name,
        kind=kind,
        help=help_text,
        labels=tuple(labels),
        open_labels=len(labels) if open_labels is None else open_labels,
        bounds=tuple(bounds),
        each=each,
        values={},
    )


registry: Final = Registry()
counter, gauge, histogram = registry.counter, registry.gauge, registry.histogram
