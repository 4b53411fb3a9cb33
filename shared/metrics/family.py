"""A metric with all its series, and how those of several processes become one.

A counter and a histogram add up. A gauge adds up too, or tells of each process for itself.
"""

from collections.abc import Iterable
from enum import StrEnum
from itertools import zip_longest
from typing import Final

import msgspec

MAX_SERIES: Final = 200  # values of the open labels of one metric; what is more becomes OTHER
OTHER: Final = "other"

Labels = tuple[str, ...]  # values, in the order of the metric's label names


class Kind(StrEnum):
    """As Prometheus names them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family(msgspec.Struct, array_like=True, kw_only=True):
    """One metric.

    Attributes:
        labels: the names of the labels.
        open_labels: how many of these, from the first, have values without a bound of their own.
        values: of each series: one number, or of a histogram the count in each bucket, in the last of
            them what is beyond every bound, and then the sum.
        bounds: the highest value that each bucket of a histogram holds.
        each: a gauge of each process for itself, to be told apart by `kind` and `process`.
    """

    name: str
    kind: Kind
    help: str
    labels: Labels = ()
    open_labels: int = 0
    values: dict[Labels, list[float]] = {}
    bounds: tuple[float, ...] = ()
    each: bool = False

    def is_like(self, other: "Family") -> bool:
        """Whether the two can be added; those of processes of two releases may differ."""
        return (self.kind, self.labels, self.bounds) == (other.kind, other.labels, other.bounds)


def merge(families: Iterable[Family]) -> list[Family]:
    """One family a name, by name. One that cannot be added to the first of its name is left out."""
    merged: dict[str, Family] = {}
    for family in families:
        known = merged.get(family.name)
        if known is None:
            merged[family.name] = msgspec.structs.replace(family, values=dict(family.values))
        elif known.is_like(family):
            for labels, values in family.values.items():
                known.values[labels] = _sum(known.values.get(labels, []), values)
    return [bounded(merged[name]) for name in sorted(merged)]


def bounded(family: Family) -> Family:
    """The family with at most MAX_SERIES values of its open labels.

    The highest values stay: ids sort by their time, so it is the oldest models that become OTHER, and for
    good. What stays never falls, nor does OTHER.
    """
    count = family.open_labels
    opened = {labels[:count] for labels in family.values if labels[:count] != other_labels(count)}
    if len(opened) <= MAX_SERIES:
        return family
    kept = set(sorted(opened)[-MAX_SERIES:])
    values: dict[Labels, list[float]] = {}
    for labels, numbers in family.values.items():
        key = labels if labels[:count] in kept else other_labels(count) + labels[count:]
        values[key] = _sum(values.get(key, []), numbers)
    return msgspec.structs.replace(family, values=values)


def other_labels(count: int) -> Labels:
    """The values of open labels that stand for all that have none of their own."""
    return (OTHER,) * count


def _sum(one: list[float], other: list[float]) -> list[float]:
    return [a + b for a, b in zip_longest(one, other, fillvalue=0)]
