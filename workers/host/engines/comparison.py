"""Compares what a compiled model answers with what the estimator answers."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from workers.host.engines.accelerated import AcceleratedModel
from workers.host.engines.compiled import CannotCompile
from workers.host.engines.links import Floats
from workers.host.runtimes.runtime import Answering

TOLERANCE = 1e-5  # of probabilities; of a regressor's values relative to each
_ROWS_AT_ONCE = 1024
_NOISE = 1e-12  # relative to the largest value: what is left of a sum that cancels
_ROUNDS = 50  # of halving: down to neighbouring floats
_PAIRS = 64


class Comparison(msgspec.Struct, frozen=True):
    """How many rows were compared, the largest difference of a number, and whether time ran out."""

    rows: int
    largest: float
    complete: bool

    def joined(self, other: "Comparison") -> "Comparison":
        """Both together."""
        largest = max(self.largest, other.largest)
        return Comparison(self.rows + other.rows, largest, self.complete and other.complete)


class Comparer:
    """Compares until its time is used up.

    Attributes:
        engine: the model's compiled form.
        result: of all comparisons so far.
    """

    def __init__(
        self, native: Answering, engine: AcceleratedModel, outputs: Sequence[str], *, end: float
    ) -> None:
        self._native, self.engine, self._outputs, self._end = native, engine, outputs, end
        self.result = Comparison(0, 0.0, complete=True)

    def compare(self, rows: Floats) -> None:
        """Answer the rows both ways.

        Raises:
            CannotCompile: the answers are not the same.
        """
        rows = rows[self.engine.answered_here(rows)]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            if time.monotonic() > self._end:
                self.result = msgspec.structs.replace(self.result, complete=False)
                return
            self._compare(rows[start : start + _ROWS_AT_ONCE])

    def borders(self, rows: Floats) -> Floats:
        """Points close to where the estimator's label changes, between pairs of the rows."""
        rows = rows[self.engine.answered_here(rows)]
        labels = self._labels(rows)
        first, second = _unlike_pairs(labels)
        low, high, left = rows[first], rows[second], labels[first]
        for _ in range(_ROUNDS):
            if not len(low) or time.monotonic() > self._end:
                break
            middle = low + (high - low) / 2
            same = self._labels(middle) == left
            low, high = np.where(same[:, None], middle, low), np.where(same[:, None], high, middle)
        return np.concatenate([low, high])

    def _labels(self, rows: Floats) -> NDArray[Any]:
        return self._native.predict(rows, ["label"])["label"] if len(rows) else np.empty(0)

    def _compare(self, rows: Floats) -> None:
        try:
            wanted = self._native.predict(rows, self._outputs)
        except Exception as error:
            raise CannotCompile("the model refuses rows that its engine answers") from error
        given = self.engine.predict(rows, self._outputs)
        largest = max(_difference(name, given[name], wanted[name]) for name in self._outputs)
        self.result = self.result.joined(Comparison(len(rows), largest, complete=True))


def _difference(name: str, given: NDArray[Any], wanted: NDArray[Any]) -> float:
    """The largest difference: of probabilities as they are, of a regressor's values relative to each.

    Raises:
        CannotCompile: it is too large.
    """
    if given.shape != wanted.shape:
        raise CannotCompile("its engine answers in another shape")
    if wanted.dtype.kind != "f":
        if not np.array_equal(given, wanted):
            raise CannotCompile("its engine gives other labels")
        return 0.0
    gaps = np.abs(given - wanted)
    gaps[(given == wanted) | (np.isnan(given) & np.isnan(wanted))] = 0.0
    if name == "label":
        largest = np.abs(wanted).max(initial=0.0, where=np.isfinite(wanted))
        gaps /= np.maximum(np.abs(wanted), _NOISE * largest / TOLERANCE) + np.finfo(np.float64).tiny
    if not (gaps <= TOLERANCE).all():
        raise CannotCompile(f"its engine's {name} differ by up to {np.nanmax(gaps):.2g}")
    return float(gaps.max(initial=0.0))


def _unlike_pairs(labels: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Neighbours in the list whose labels differ."""
    if labels.ndim != 1 or labels.dtype.kind == "f" or not len(labels):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    at = np.flatnonzero(labels[:-1] != labels[1:])[:_PAIRS]
    return at, at + 1
