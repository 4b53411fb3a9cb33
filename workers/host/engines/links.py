"""From a model's scores to its answers, by the very operations of scikit-learn and so to the same bits."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


class Link(Protocol):
    """Reads a classifier's scores, shape (rows, scores).

    Attributes:
        offers_probabilities: `probabilities` may be called.
    """

    offers_probabilities: bool

    def codes(self, scores: Floats) -> Codes:
        """For each row the place of its label among the classes."""

    def probabilities(self, scores: Floats) -> Floats:
        """Shape (rows, classes)."""


class Logit:
    """Two classes by the sign of one score."""

    def __init__(self, *, zero_is_second: bool = False, offers_probabilities: bool = True) -> None:
        self.offers_probabilities = offers_probabilities
        self._zero_is_second = zero_is_second

    def codes(self, scores: Floats) -> Codes:
        """The second class above zero; at zero as the family has it."""
        second = scores[:, 0] >= 0 if self._zero_is_second else scores[:, 0] > 0
        return np.asarray(second, np.intp)

    def probabilities(self, scores: Floats) -> Floats:
        """The logistic function of the score."""
        answer = np.empty((len(scores), 2))
        expit(scores[:, 0], out=answer[:, 1])
        np.subtract(1, answer[:, 1], out=answer[:, 0])
        return answer


class Softmax:
    """A score for each class."""

    def __init__(self, *, offers_probabilities: bool = True) -> None:
        self.offers_probabilities = offers_probabilities

    def codes(self, scores: Floats) -> Codes:
        """The first of the largest."""
        return _first_of_largest(scores)

    def probabilities(self, scores: Floats) -> Floats:
        """Each row's exponentials, the largest brought to one first, over their sum."""
        answer: Floats = scores - scores.max(axis=1, keepdims=True)
        np.exp(answer, out=answer)
        answer /= answer.sum(axis=1, keepdims=True)
        return answer


class Share:
    """Probabilities that trees were asked for and that were summed: their mean."""

    offers_probabilities = True

    def __init__(self, trees: int, classes: int) -> None:
        self._trees, self._binary = trees, classes == 2  # noqa: PLR2004

    def codes(self, scores: Floats) -> Codes:
        """The first of the largest."""
        return _first_of_largest(self.probabilities(scores))

    def probabilities(self, scores: Floats) -> Floats:
        """Where of two classes only the second was summed, the first has the rest."""
        if self._binary and scores.shape[1] == 1:
            scores = np.concatenate((self._trees - scores, scores), axis=1)
        shares: Floats = scores / self._trees
        return shares


class Given:
    """The scores are probabilities, of the second class alone where there are two."""

    offers_probabilities = True

    def codes(self, scores: Floats) -> Codes:
        """The first of the largest."""
        return _first_of_largest(self.probabilities(scores))

    def probabilities(self, scores: Floats) -> Floats:
        """All of them."""
        return np.concatenate((1.0 - scores, scores), axis=1) if scores.shape[1] == 1 else scores


class Values:
    """A regressor's scores are its answers, perhaps after one more function."""

    def __init__(self, *, flat: bool, exponential: bool = False, divisor: int = 1) -> None:
        self._flat, self._exponential, self._divisor = flat, exponential, divisor

    def values(self, scores: Floats) -> Floats:
        """Shape (rows,) or (rows, targets)."""
        answer: Any = scores[:, 0] if self._flat else scores
        if self._divisor != 1:
            answer = answer / self._divisor
        return np.exp(answer) if self._exponential else answer  # type: ignore[no-any-return]


def _first_of_largest(scores: Floats) -> Codes:
    largest: Codes = scores.argmax(axis=1)
    return largest
