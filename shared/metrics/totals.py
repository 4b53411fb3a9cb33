"""The metrics of the whole platform, out of what its processes said."""

import msgspec

from shared.metrics.exchange import Everything, Snapshot, sum_of
from shared.metrics.family import Family, merge

_PROCESS_LABELS = ("kind", "process")


def totals(everything: Everything) -> list[Family]:
    """One family a metric: counters and histograms of all who ever lived, gauges of the living."""
    living = [_told_apart(family, snapshot) for snapshot in everything.living for family in snapshot.families]
    return merge([*living, *sum_of(everything.departed).families])


def _told_apart(family: Family, of: Snapshot) -> Family:
    if not family.each:
        return family
    values = {(*labels, of.kind, of.process): numbers for labels, numbers in family.values.items()}
    return msgspec.structs.replace(family, labels=(*family.labels, *_PROCESS_LABELS), values=values)
