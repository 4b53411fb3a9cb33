"""What compiling an estimator gives."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from workers.host.engines.links import Floats, Link, Values
from workers.host.engines.tree import Tree

Scores = Callable[[Floats], Floats]  # shape (rows, columns) to (rows, scores)
ANSWERED = frozenset({"label", "probabilities"})  # what an engine answers; other outputs are native's


class CannotCompile(Exception):
    """Why an estimator stays native, in words for its owner."""


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """An estimator in another form.

    Attributes:
        engine: its name.
        scores: of rows that are all finite, unless `takes_missing` allows for NaN.
        link: from scores to answers.
        classes: of a classifier.
        takes_missing: NaN is a value as any other.
        steps: what is done to the rows first.
        trees: in it, whose splits must be tried.
        tail: the estimator itself, or the last of a pipeline: `scores` and `trees` are made of it.
    """

    engine: str
    scores: Scores
    link: Link | Values
    classes: NDArray[Any] | None = None
    takes_missing: bool = False
    steps: Sequence[Scores] = ()
    trees: Sequence[Tree] = ()
    tail: Any

    def prepared(self, rows: Floats) -> Floats:
        """The rows as the last estimator gets them."""
        for step in self.steps:
            rows = step(rows)
        return rows

    def offers(self, outputs: Sequence[str]) -> bool:
        """Whether it answers all of these."""
        return "probabilities" not in outputs or getattr(self.link, "offers_probabilities", False)

    def answer(self, scores: Floats, outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The outputs asked for, each with one entry a row, of the types that the estimator gives."""
        link = self.link
        if isinstance(link, Values):
            return {"label": link.values(scores)}
        answers: dict[str, NDArray[Any]] = {}
        for name in outputs:
            if name == "label":
                answers[name] = np.asarray(self.classes).take(link.codes(scores), axis=0)
            else:
                answers[name] = link.probabilities(scores)
        return answers
