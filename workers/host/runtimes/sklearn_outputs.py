"""Which outputs an estimator gives, and by which of its methods each is computed.

| output                               | method                                                |
|--------------------------------------|-------------------------------------------------------|
| `label`                              | `predict`                                             |
| `probabilities`                      | `predict_proba`                                       |
| `probabilities_0`, `_1`, …           | the same, where it gives an array for each target      |
| `scores`                             | `decision_function`, or `score_samples` where it lacks |
| `transformed`                        | `transform`                                           |
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

LABEL, PROBABILITIES, SCORES, TRANSFORMED = "label", "probabilities", "scores", "transformed"
MAX_WIDTH = 10_000  # numbers that a transformer may answer for one row

_PART = f"{PROBABILITIES}_"
_METHODS = {
    LABEL: ("predict",),
    PROBABILITIES: ("predict_proba",),
    SCORES: ("decision_function", "score_samples"),
    TRANSFORMED: ("transform",),
}
_KINDS = {PROBABILITIES: "f", SCORES: "fiu", TRANSFORMED: "fiub"}  # of numpy's, for further outputs
_MOST_DIMENSIONS = 2

Way = tuple[str, int | None]  # a method; of what it gives for each target, whose


class TooWide(ValueError):
    """A row is answered by too many numbers."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(f"{width:,} numbers a row, and {MAX_WIDTH:,} are served")


class Methods:
    """Calls an estimator's methods by the names of outputs."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._ways: dict[str, Way] = {
            output: (method, None) for output in _METHODS if (method := _method(estimator, output))
        }

    @property
    def main(self) -> str | None:
        """The output that is the prediction; None where it has none."""
        return next((name for name in (LABEL, TRANSFORMED, SCORES) if name in self._ways), None)

    @property
    def further(self) -> list[str]:
        """Outputs that a model which predicts may have besides."""
        return [name for name in self._ways if name != LABEL] if self.main == LABEL else []

    def answer(self, rows: Any, outputs: Iterable[str]) -> dict[str, NDArray[Any]]:
        """The outputs; methods that several of them come from are called once."""
        called: dict[str, Any] = {}
        answers: dict[str, NDArray[Any]] = {}
        for output in outputs:
            method, part = self._ways.get(output) or self._way_of_part(output)
            if method not in called:
                called[method] = getattr(self._estimator, method)(rows)
            answers[output] = _array(called[method], part)
        return answers | {LABEL: self._labels(answers[LABEL])} if LABEL in answers else answers

    def _labels(self, values: NDArray[Any]) -> NDArray[Any]:
        """A class for each row, also where the model gives a list of one (CatBoost, of several classes)."""
        one_target = isinstance(getattr(self._estimator, "classes_", None), np.ndarray)
        return values[:, 0] if one_target and values.shape[1:] == (1,) else values

    def _way_of_part(self, output: str) -> Way:
        number = output.removeprefix(_PART)
        if number == output or not number.isdecimal() or PROBABILITIES not in self._ways:
            raise KeyError(f"the model has no output {output!r}")
        way = self._ways[output] = (self._ways[PROBABILITIES][0], int(number))
        return way


def parts(estimator: Any) -> list[tuple[str, list[Any]]]:
    """The outputs in place of `probabilities` where several labels are predicted, each with its classes."""
    classes = getattr(estimator, "classes_", None)
    if not isinstance(classes, list | tuple):
        return []
    return [(f"{_PART}{target}", np.asarray(of_target).tolist()) for target, of_target in enumerate(classes)]


def is_usable(output: str, values: NDArray[Any]) -> bool:
    """Whether a further output can be offered: numbers, not too many a row."""
    kind = PROBABILITIES if output.startswith(_PART) else output
    if values.dtype.kind not in _KINDS[kind] or not 1 <= values.ndim <= _MOST_DIMENSIONS:
        return False
    if values.ndim == 1:
        return kind != PROBABILITIES
    return bool(0 < values.shape[1] <= MAX_WIDTH)


def _method(estimator: Any, output: str) -> str | None:
    return next((name for name in _METHODS[output] if callable(getattr(estimator, name, None))), None)


def _array(answer: Any, part: int | None) -> NDArray[Any]:
    if part is not None:
        if not isinstance(answer, list | tuple):
            raise TypeError("the model gives its probabilities in one array")
        return np.asarray(answer[part])
    if issparse(answer):
        if answer.shape[1] > MAX_WIDTH:  # it would not fit into memory otherwise
            raise TooWide(answer.shape[1])
        return np.asarray(answer.toarray())
    if isinstance(answer, list) and any(getattr(target, "ndim", 0) > 1 for target in answer):
        raise TypeError("the model answers an array for each of its targets")
    return np.asarray(answer)
