"""What a process has counted since it started, as metrics."""

from collections.abc import Callable, Iterator
from typing import Final
from uuid import UUID

from shared.analytics.histogram import BOUNDS_US, PER_DOUBLING, per_doubling
from shared.analytics.tally import Tally
from shared.metrics.family import MAX_SERIES, Family, Kind, Labels, other_labels

_LABELS = ("model", "version")  # ids; there is no end of them
_BOUNDS_S: Final = tuple(bound / 1e6 for bound in BOUNDS_US[::PER_DOUBLING])
_NOBODY = UUID(int=0)


class Overall:
    """Sums by version. Of more than MAX_SERIES versions the oldest become one."""

    def __init__(self) -> None:
        self._of: dict[UUID, Tally] = {}
        self._other = Tally(_NOBODY, _NOBODY)

    def add(self, tally: Tally) -> None:
        """Count what the tally counted."""
        known = self._of.get(tally.version_id)
        if known is None:
            known = self._of[tally.version_id] = Tally(tally.model_id, tally.version_id)
        known.add(tally)
        if len(self._of) > MAX_SERIES:
            self._other.add(self._of.pop(min(self._of)))

    def families(self) -> Iterator[Family]:
        """A counter or a histogram for each thing that is counted."""
        yield self._requests()
        yield self._counter("rows_total", "Rows that were predicted.", lambda tally: tally.rows)
        yield self._counter(
            "cache_hits_total", "Requests that the cache answered.", lambda tally: tally.cache_hits
        )
        yield self._counter(
            "cache_misses_total",
            "Requests that were answered, and not by the cache.",
            lambda tally: tally.outcomes["ok"] - tally.cache_hits,
        )
        yield self._histogram(
            "queue_seconds",
            "How long requests waited for their model.",
            lambda tally: (tally.queue, tally.queue_us),
        )
        yield self._histogram(
            "compute_seconds",
            "How long the model took for them.",
            lambda tally: (tally.compute, tally.compute_us),
        )
        yield self._histogram(
            "total_seconds",
            "How long requests took, whatever came of them, but for those refused at the door.",
            lambda tally: (tally.total, tally.total_us),
        )

    def _requests(self) -> Family:
        values = {
            (*labels, outcome): [float(requests)]
            for labels, tally in self._labelled()
            for outcome, requests in tally.outcomes.items()
            if requests
        }
        return Family(
            name="modelyard_predict_requests_total",
            kind=Kind.COUNTER,
            help="Prediction requests by how they ended.",
            labels=(*_LABELS, "outcome"),
            open_labels=len(_LABELS),
            values=values,
        )

    def _counter(self, name: str, help_text: str, of: Callable[[Tally], int]) -> Family:
        return Family(
            name=f"modelyard_predict_{name}",
            kind=Kind.COUNTER,
            help=help_text,
            labels=_LABELS,
            open_labels=len(_LABELS),
            values={labels: [float(of(tally))] for labels, tally in self._labelled()},
        )

    def _histogram(self, name: str, help_text: str, of: Callable[[Tally], tuple[list[int], int]]) -> Family:
        values = {}
        for labels, tally in self._labelled():
            counts, sum_us = of(tally)
            values[labels] = [*map(float, per_doubling(counts)), sum_us / 1e6]
        return Family(
            name=f"modelyard_predict_{name}",
            kind=Kind.HISTOGRAM,
            help=help_text,
            labels=_LABELS,
            open_labels=len(_LABELS),
            values=values,
            bounds=_BOUNDS_S,
        )

    def _labelled(self) -> Iterator[tuple[Labels, Tally]]:
        for tally in self._of.values():
            yield (str(tally.model_id), str(tally.version_id)), tally
        if self._other.requests:
            yield other_labels(len(_LABELS)), self._other
