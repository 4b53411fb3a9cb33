"""From a booster's scores to labels and probabilities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.host.runtimes.library_model import Answers

_EVEN = 0.5


def classified(scores: NDArray[Any], classes: NDArray[Any] | None, outputs: Sequence[str]) -> Answers:
    """Labels and probabilities out of probabilities.

    Args:
        scores: shape (rows,): of the second of two classes; shape (rows, k): of each.
        classes: None: several labels a row, each 0 or 1 by a probability of its own.
    """
    if classes is None:
        answers = {"label": (scores > _EVEN).astype(np.int64), "probabilities": scores}
    elif scores.ndim == 1:
        both = np.column_stack([1 - scores, scores])
        answers = {"label": classes[(scores > _EVEN).astype(np.intp)], "probabilities": both}
    else:
        answers = {"label": classes[scores.argmax(axis=1)], "probabilities": scores}
    return {name: answers[name] for name in outputs}


def softmax(margins: NDArray[Any]) -> NDArray[Any]:
    """Probabilities out of margins, a row each."""
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    shares: NDArray[Any] = powers / powers.sum(axis=1, keepdims=True)
    return shares
