"""The last estimator of a pipeline, asked alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.host.rows import Rows

METHODS = {"label": "predict", "probabilities": "predict_proba"}  # by the output's name


class Tail:
    """Answers by the estimator's own methods; the rows are as it gets them inside the pipeline."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def predict(self, rows: Rows, outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Each output asked for, with one entry a row."""
        return {name: np.asarray(getattr(self._estimator, METHODS[name])(rows)) for name in outputs}
