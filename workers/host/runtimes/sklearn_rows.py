"""In which form an estimator takes its rows: most as a table or matrix, some as one series, or as dicts."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
from sklearn.feature_extraction import DictVectorizer, FeatureHasher

from workers.host.rows import Rows
from workers.host.runtimes.sklearn_columns import takes_one_series, walk_inputs

Form = Callable[[Rows], Any]


def form_of(estimator: Any) -> Form | None:
    """What makes of rows what the estimator takes; None where it takes them as they are."""
    if takes_one_series(estimator):
        return _series
    return _dicts if takes_dicts(estimator) else None


def takes_dicts(estimator: Any) -> bool:
    """Its input goes straight into what reads a dict a row."""
    return any(
        isinstance(step, DictVectorizer) or (isinstance(step, FeatureHasher) and step.input_type == "dict")
        for step in walk_inputs(estimator)
    )


def _series(rows: Any) -> Any:
    return rows.iloc[:, 0] if isinstance(rows, pd.DataFrame) else rows[:, 0]


def _dicts(rows: Rows) -> list[dict[str, Any]]:
    """A dict a row, in which a missing value is missing."""
    if not isinstance(rows, pd.DataFrame):
        raise TypeError("rows without names make no dicts")
    return [dict(_present(row)) for row in rows.to_dict("records")]


def _present(row: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if value is not None and value == value:  # noqa: PLR0124  not NaN
            yield str(name), value
