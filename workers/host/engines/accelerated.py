"""A model that answers by a compiled form of itself, and by itself where that form may not speak."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.catalog.verdict import Engine
from workers.host.engines.compiled import ANSWERED, Compiled
from workers.host.engines.links import Floats, Values
from workers.host.replies import plain
from workers.host.rows import Rows
from workers.host.runtimes.runtime import Answering

# Squared and summed over a call: below it every value is finite, also in 32 bits. Beyond it scikit-learn
# may refuse a row, with an error that only it can word.
_LARGEST = 1e76
_UNBOUNDED = 1 << 62


class AcceleratedModel:
    """Predicts by an engine.

    Native answers what the engine was not found to answer alike: values that are infinite, huge or
    (unless it takes them) missing, labels that are all but a tie, and calls so large that native is faster.
    """

    def __init__(self, model: Answering, compiled: Compiled, engine: Engine) -> None:
        self._native = model.predict
        self._compiled, self._engine = compiled, engine
        self._steps, self._scores, self._link = compiled.steps, compiled.scores, compiled.link
        self._margin = engine.tie_margin if compiled.offers(("probabilities",)) else 0.0
        self._most_rows = _UNBOUNDED if engine.native_above_rows is None else engine.native_above_rows
        self._labels: list[Any] = [] if compiled.classes is None else plain(compiled.classes)

    def predict(self, rows: Rows, outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Each output asked for, with one entry a row."""
        if not isinstance(rows, np.ndarray) or not ANSWERED.issuperset(outputs):
            return self._native(rows, outputs)
        if (scores := self._scored(rows)) is None:
            return self._native(rows, outputs)
        answers = self._compiled.answer(scores, outputs)
        ties = self._ties(scores)
        return answers if ties is None else self._with_native(answers, rows, ties)

    def values(self, rows: Floats, outputs: Sequence[str]) -> dict[str, list[Any]]:
        """The same as lists of plain values."""
        scores = self._scored(rows) if ANSWERED.issuperset(outputs) else None
        link = self._link
        if scores is None or isinstance(link, Values) or self._ties(scores) is not None:
            return {name: plain(answer) for name, answer in self.predict(rows, outputs).items()}
        labels = self._labels
        return {
            name: [labels[code] for code in link.codes(scores).tolist()]
            if name == "label"
            else link.probabilities(scores).tolist()
            for name in outputs
        }

    def answered_here(self, rows: Floats) -> NDArray[np.bool_]:
        """For each row whether the engine may speak, leaving ties and the size of the call aside."""
        within = _within_each(rows, missing=self._engine.takes_missing)
        with np.errstate(all="ignore"):
            return within & _within_each(self._compiled.prepared(rows), missing=self._engine.takes_missing)

    def _scored(self, rows: Floats) -> Floats | None:
        """The scores; None where the call is native's."""
        if len(rows) > self._most_rows or not self._within(rows):
            return None
        if self._steps:
            rows = self._compiled.prepared(rows)
            if not self._within(rows):
                return None
        return self._scores(rows)

    def _within(self, rows: Floats) -> bool:
        flat = rows.reshape(-1)
        if flat.dot(flat) < _LARGEST:  # not so where there is a NaN
            return True
        return self._engine.takes_missing and bool(_within_each(rows, missing=True).all())

    def _ties(self, scores: Floats) -> NDArray[np.intp] | None:
        if not self._margin or isinstance(self._link, Values):
            return None
        best = np.partition(self._link.probabilities(scores), -2, axis=1)[:, -2:]
        ties = np.flatnonzero(best[:, 1] - best[:, 0] <= self._margin)
        return ties if len(ties) else None

    def _with_native(
        self, answers: dict[str, NDArray[Any]], rows: Floats, ties: NDArray[np.intp]
    ) -> dict[str, NDArray[Any]]:
        for name, answer in self._native(rows[ties], list(answers)).items():
            answers[name][ties] = answer
        return answers


def _within_each(rows: Floats, *, missing: bool) -> NDArray[np.bool_]:
    known = np.where(np.isnan(rows), 0.0, rows) if missing else rows
    return np.einsum("ij,ij->i", known, known) * max(len(rows), 1) < _LARGEST  # type: ignore[no-any-return]
