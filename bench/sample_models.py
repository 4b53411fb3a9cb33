"""Models to measure with, and rows for them."""

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

IRIS_COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
SLOW_COLUMNS = ("a", "b", "c", "d")
TRIAL_ROWS = 20_000  # of a slow model's memory, to learn what a row costs on this machine


class SampleModel(msgspec.Struct, frozen=True, kw_only=True):
    """A trained model in a file.

    Attributes:
        rows: of its data set, with the class that scikit-learn gives each, called directly.
    """

    path: Path
    columns: Sequence[str]
    rows: Sequence[Sequence[float]]
    labels: Sequence[int]

    def body(self, row: Sequence[float]) -> dict[str, Any]:
        """What is posted to have a row predicted."""
        return {"input": dict(zip(self.columns, row, strict=True))}


def train(name: str, folder: Path) -> SampleModel:
    """Train one of MODELS, into `folder`."""
    make, read, columns = MODELS[name]
    data = read(as_frame=True)
    frame = data.data.set_axis(columns or list(data.data.columns), axis=1)
    model = make().fit(frame, data.target)
    return _dumped(model, folder / f"{name}.joblib", frame, list(frame.columns))


def train_slow(folder: Path, *, row_ms: float) -> SampleModel:
    """A model that computes for about `row_ms` on each row, however many come at a time.

    A row is compared with a memory of random ones, by a metric that only a loop of `pow` can give: no
    batch makes it cheaper, and no compiled engine takes it over.
    """
    random = np.random.default_rng(0)
    cost_ms = _cost_ms(_neighbours(random, TRIAL_ROWS), random.normal(size=(16, len(SLOW_COLUMNS))))
    model = _neighbours(random, max(int(TRIAL_ROWS * row_ms / cost_ms), 100))
    rows = random.normal(size=(64, len(SLOW_COLUMNS))).round(4)
    return _dumped(model, folder / "slow.joblib", rows, SLOW_COLUMNS)


def write_bodies(path: Path, model: SampleModel, rows: Iterable[Sequence[float]]) -> Path:
    """A request's body a line."""
    path.write_text("".join(json.dumps(model.body(row)) + "\n" for row in rows))
    return path


def distinct_rows(model: SampleModel, count: int) -> Iterator[list[float]]:
    """Rows like those of the data set, none twice, so that no cache answers for the model."""
    turns = itertools.count()
    rows = ([value + turn / 1000 for value in row] for turn in turns for row in model.rows)
    return ([round(value, 4) for value in row] for row in itertools.islice(rows, count))


def _dumped(
    model: BaseEstimator, path: Path, rows: np.ndarray | pd.DataFrame, columns: Sequence[str]
) -> SampleModel:
    joblib.dump(model, path)
    labels = model.predict(rows).tolist()
    return SampleModel(path=path, columns=columns, rows=np.asarray(rows).tolist(), labels=labels)


def _neighbours(random: np.random.Generator, count: int) -> KNeighborsClassifier:
    memory = random.normal(size=(count, len(SLOW_COLUMNS)))
    classes = (memory[:, 0] > 0).astype(np.int64)
    return KNeighborsClassifier(algorithm="brute", metric="minkowski", p=3).fit(memory, classes)


def _cost_ms(model: KNeighborsClassifier, rows: np.ndarray) -> float:
    with threadpool_limits(1):  # as in a model host
        model.predict(rows)
        started = time.thread_time()  # whatever else wants the core
        model.predict(rows)
        return (time.thread_time() - started) / len(rows) * 1000


# How to make it, its data set, and names for the columns in place of the data set's own.
MODELS: dict[str, tuple[Callable[[], Any], Callable[..., Any], Sequence[str]]] = {
    "iris": (lambda: LogisticRegression(max_iter=1000), load_iris, IRIS_COLUMNS),
    "rf100": (lambda: RandomForestClassifier(n_estimators=100, random_state=0), load_breast_cancer, ()),
    "hgb": (lambda: HistGradientBoostingClassifier(random_state=0), load_breast_cancer, ()),
}
