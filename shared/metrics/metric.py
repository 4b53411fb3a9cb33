"""What a process counts: counters, gauges, histograms. Safe from any thread, half a microsecond a call."""

from bisect import bisect_left
from threading import Lock

import msgspec

from shared.metrics.family import MAX_SERIES, Family, Labels, other_labels


class MetricMisused(ValueError):
    """A metric that cannot be, or labels that are not its own."""


class _Metric:
    """What the three kinds have in common: a list of numbers for each set of labels."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._lock = Lock()
        self._open: set[Labels] = set()
        if not family.labels:
            self._begin(())  # 0 is said from the start: what appears with a value is not seen to rise

    def snapshot(self) -> Family:
        """A copy as of now."""
        with self._lock:
            values = {labels: list(numbers) for labels, numbers in self.family.values.items()}
        return msgspec.structs.replace(self.family, values=values)

    def _numbers(self, labels: Labels) -> list[float]:
        """The numbers of a series, for whoever holds the lock."""
        numbers = self.family.values.get(labels)
        return self._begin(labels) if numbers is None else numbers

    def _begin(self, labels: Labels) -> list[float]:
        if len(labels) != len(self.family.labels):
            raise MetricMisused(f"{self.family.name} has the labels {self.family.labels}, not {labels}")
        count = self.family.open_labels
        opened = labels[:count]
        if opened not in self._open and len(self._open) >= MAX_SERIES:
            labels = other_labels(count) + labels[count:]
        else:
            self._open.add(opened)
        zeros = [0.0] * (len(self.family.bounds) + 2 if self.family.bounds else 1)
        return self.family.values.setdefault(labels, zeros)


class Counter(_Metric):
    """What only grows."""

    def inc(self, amount: float = 1, labels: Labels = ()) -> None:
        """Count something that happened."""
        with self._lock:
            self._numbers(labels)[0] += amount


class Gauge(_Metric):
    """What rises and falls."""

    def set(self, value: float, labels: Labels = ()) -> None:
        """Say what it is now."""
        with self._lock:
            self._numbers(labels)[0] = value


class Histogram(_Metric):
    """How values are spread."""

    def observe(self, value: float, labels: Labels = ()) -> None:
        """Count a value."""
        bucket = bisect_left(self.family.bounds, value)
        with self._lock:
            numbers = self._numbers(labels)
            numbers[bucket] += 1
            numbers[-1] += value
