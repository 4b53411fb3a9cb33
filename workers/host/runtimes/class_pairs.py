"""What the scores are of that a support vector machine gives for each two of its classes.

With three classes there are three pairs, so that their number does not tell them from scores of classes.
"""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from workers.host.replies import plain

_MOST_DEEP = 8  # of what a file holds, which may lead back into itself


def class_pairs(estimator: Any, scores: NDArray[Any]) -> list[str] | None:
    """The pair that each of the scores is of; None where they are of something else.

    Source: scikit-learn's user guide, "Multi-class classification": 0 vs 1, 0 vs 2, …, 1 vs 2, …
    """
    last = _last(estimator)
    classes = getattr(last, "classes_", None)
    if getattr(last, "decision_function_shape", None) != "ovo" or not isinstance(classes, np.ndarray):
        return None
    pairs = [f"{one}_vs_{other}" for one, other in combinations(plain(classes), 2)]
    return pairs if scores.shape[1:] == (len(pairs),) else None


def _last(estimator: Any) -> Any:
    """What answers within a pipeline, or a search, or one in the other."""
    for _ in range(_MOST_DEEP):
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        else:
            estimator = getattr(estimator, "best_estimator_", estimator)
    return estimator
