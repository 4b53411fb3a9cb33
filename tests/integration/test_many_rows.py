"""Hosts of jobs answer many rows by a walk over the trees, to the bits of scikit-learn called directly."""

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression

from tests.fixtures.training import saved
from tests.integration.test_host_engines import CANCER, GAPS, IRIS, NATIVE, TREES, ask, edges, fitted
from workers.hosting.errors import ModelFailed

OUTPUTS = ("label", "probabilities")


@pytest.fixture
def job_host(open_model, tmp_path):
    """Opens a model as jobs do: `host, verdict, engine = job_host(model)`."""

    def opened(model: Any):
        path = saved(model, tmp_path / "model.joblib")
        _, verdict = open_model(path)
        host, again = open_model(path, probe=False, signature=verdict.signature, many_rows=True)
        return host, verdict, again.engine

    return opened


def answers(host, verdict, X: np.ndarray) -> dict[str, Any]:
    """All of them, in one call."""
    outputs = tuple(output.name for output in verdict.signature.outputs)
    return ask(host, X, outputs)


@pytest.mark.parametrize("name", TREES)
def test_many_rows_are_answered_to_the_last_bit_also_where_trees_split(job_host, name):
    model, known = fitted(TREES[name])
    X = edges(model, known)
    host, verdict, engine = job_host(model)

    given = answers(host, verdict, X)

    assert engine.name == "walker"
    np.testing.assert_array_equal(given["label"], model.predict(X))
    if "probabilities" in given:
        np.testing.assert_array_equal(given["probabilities"], model.predict_proba(X))


def test_blocks_of_any_length_are_answered_alike(job_host):
    model, known = fitted(TREES["forest of texts"])
    X = np.tile(known, (120, 1))  # 18,000 rows: more than a block
    host, _, _ = job_host(model)

    for rows in (1, 7, 8, 9, len(X)):
        given = ask(host, X[:rows], OUTPUTS)

        assert given["label"] == model.predict(X[:rows]).tolist()
        assert given["probabilities"] == model.predict_proba(X[:rows]).tolist()


def test_missing_values_may_come_after_whole_rows_and_before_them(job_host):
    model = HistGradientBoostingClassifier(max_iter=20).fit(*GAPS)
    host, verdict, engine = job_host(model)

    for X in (CANCER[0], GAPS[0], CANCER[0]):
        given = answers(host, verdict, X)

        np.testing.assert_array_equal(given["probabilities"], model.predict_proba(X))
    assert engine.takes_missing


def test_a_missing_value_that_the_model_refuses_is_refused_in_its_own_words(job_host):
    model = GradientBoostingClassifier(n_estimators=5).fit(*IRIS)
    host, _, _ = job_host(model)
    X = IRIS[0].copy()
    X[100, 2] = np.nan

    with pytest.raises(ModelFailed, match="ValueError: Input X contains NaN"):
        ask(host, X)

    assert ask(host, IRIS[0])["label"] == model.predict(IRIS[0]).tolist()


def test_infinite_values_are_refused_as_the_model_does(job_host):
    model, _ = fitted(TREES["one tree"])
    host, _, _ = job_host(model)

    with pytest.raises(ModelFailed, match="infinity"):
        ask(host, np.full((300, 4), np.inf))


@pytest.mark.parametrize(
    "model", [LogisticRegression(), *(NATIVE[name][0] for name in ("two labels", "categories"))]
)
def test_models_that_cannot_be_walked_answer_by_themselves(job_host, model):
    y = IRIS[1] if not isinstance(model, RandomForestClassifier) else np.c_[IRIS[1], IRIS[1] > 1]
    model.fit(np.floor(IRIS[0]), y)
    host, verdict, engine = job_host(model)

    given = answers(host, verdict, np.floor(IRIS[0]))

    assert engine is None
    np.testing.assert_array_equal(given["label"], model.predict(np.floor(IRIS[0])))
