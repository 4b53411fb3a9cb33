"""Compiled models answer as scikit-learn does when it is called directly, also where their trees split."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler, scale
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tests.fixtures.training import saved
from workers.hosting.call import PredictCall
from workers.hosting.errors import ModelFailed

CANCER = (scale(load_breast_cancer().data), load_breast_cancer().target)
IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
FLOWERS = (IRIS[0], np.array(["setosa", "versicolor", "virginica"])[IRIS[1]])
GAPS = (np.where(np.random.default_rng(0).random(CANCER[0].shape) < 0.05, np.nan, CANCER[0]), CANCER[1])
TARGETS = (DIABETES[0][:, :5], DIABETES[0][:, 5:7])
SEED = {"random_state": 0}

Recipe = tuple[Any, tuple[np.ndarray, np.ndarray]]

LINEAR: dict[str, Recipe] = {
    "binary": (LogisticRegression(), CANCER),
    "texts": (LogisticRegression(max_iter=1000), FLOWERS),
    "scaled": (make_pipeline(StandardScaler(), LogisticRegression()), CANCER),
    "clipped": (make_pipeline(MinMaxScaler(clip=True), LogisticRegression()), FLOWERS),
    "filled": (make_pipeline(SimpleImputer(), RobustScaler(), LogisticRegression()), GAPS),
    "selected": (make_pipeline(SelectKBest(k=2), LogisticRegression()), IRIS),
    "searched": (GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {}), IRIS),
    "discriminant": (LinearDiscriminantAnalysis(), FLOWERS),
    "no probabilities": (LinearSVC(), IRIS),
    "descent": (SGDClassifier(loss="log_loss", **SEED), CANCER),
    "regression": (Ridge(), DIABETES),
    "several targets": (LinearRegression(), TARGETS),
}
TREES: dict[str, Recipe] = {
    "forest": (RandomForestClassifier(30, **SEED), CANCER),
    "forest of texts": (RandomForestClassifier(20, **SEED), FLOWERS),
    "forest of impure leaves": (RandomForestClassifier(30, max_depth=3, **SEED), CANCER),
    "forest with gaps": (RandomForestClassifier(20, **SEED), GAPS),
    "extra trees": (ExtraTreesClassifier(10, **SEED), CANCER),
    "scaled forest": (make_pipeline(StandardScaler(), RandomForestClassifier(20, **SEED)), CANCER),
    "forest regression": (RandomForestRegressor(10, max_depth=6, **SEED), DIABETES),
    "extra trees of two targets": (ExtraTreesRegressor(5, max_depth=5, **SEED), TARGETS),
    "boosting": (GradientBoostingClassifier(n_estimators=30, **SEED), CANCER),
    "boosting of texts": (GradientBoostingClassifier(n_estimators=10, **SEED), FLOWERS),
    "boosting regression": (GradientBoostingRegressor(n_estimators=30, **SEED), DIABETES),
    "histograms": (HistGradientBoostingClassifier(max_iter=30), CANCER),
    "histograms with gaps": (HistGradientBoostingClassifier(max_iter=30), GAPS),
    "histograms of texts": (HistGradientBoostingClassifier(max_iter=10), FLOWERS),
    "histogram regression": (HistGradientBoostingRegressor(max_iter=30), DIABETES),
    "histograms of counts": (HistGradientBoostingRegressor(max_iter=20, loss="poisson"), DIABETES),
    "one tree": (DecisionTreeClassifier(max_depth=3), IRIS),
    "one tree of numbers": (DecisionTreeRegressor(max_depth=5), DIABETES),
    "a tree that is a leaf": (DecisionTreeClassifier(), (IRIS[0], np.zeros(150))),
}
CONVERTED: dict[str, Recipe] = {
    "network": (make_pipeline(StandardScaler(), MLPClassifier((20,), max_iter=1000, **SEED)), IRIS),
    "components": (make_pipeline(PCA(3), LogisticRegression()), FLOWERS),
    "bayes": (GaussianNB(), IRIS),
}
NATIVE: dict[str, tuple[Any, tuple[np.ndarray, np.ndarray], str]] = {
    "vectors": (SVC(), IRIS, "no engine is known for a SVC"),
    "neighbours": (KNeighborsClassifier(), IRIS, "no engine is known for a KNeighborsClassifier"),
    "two labels": (
        RandomForestClassifier(3),
        (IRIS[0], np.c_[IRIS[1], IRIS[1] > 1]),
        "several labels for each row",
    ),
    "categories": (
        HistGradientBoostingClassifier(categorical_features=[0], max_iter=5),
        (np.c_[np.arange(150) % 4, IRIS[0]], IRIS[1]),
        "columns of categories",
    ),
}


def thresholds(model: Any) -> Iterator[tuple[int, float]]:
    """Feature and split of every node of every tree, as scikit-learn itself holds them."""
    for predictor in np.ravel(getattr(model, "_predictors", [])):
        nodes = predictor.nodes[predictor.nodes["is_leaf"] == 0]
        yield from zip(nodes["feature_idx"].tolist(), nodes["num_threshold"].tolist(), strict=True)
    trees = getattr(model, "estimators_", [model] if hasattr(model, "tree_") else [])
    for tree in np.ravel(trees):
        inner = tree.tree_.children_left != -1
        yield from zip(tree.tree_.feature[inner].tolist(), tree.tree_.threshold[inner].tolist(), strict=True)


def edges(model: Any, X: np.ndarray) -> np.ndarray:
    """Known rows in which one value lies at a split, or at a neighbour of it in 64 or in 32 bits."""
    last = model[-1] if hasattr(model, "steps") else model
    random, rows = np.random.default_rng(1), [X]
    for feature, split in thresholds(last):
        if np.isinf(split):  # it parts what is missing from what is known
            continue
        short = np.float32(split)
        values = [split, *(np.nextafter(split, to) for to in (-np.inf, np.inf))]
        values += [short, *(np.nextafter(short, np.float32(to)) for to in (-np.inf, np.inf))]
        block = X[random.integers(len(X), size=len(values))]
        if hasattr(model, "steps"):  # the split is of scaled values
            values = [value * model[0].scale_[feature] + model[0].mean_[feature] for value in values]
        block[:, feature] = values
        rows.append(block)
    return np.concatenate(rows)


def spread(X: np.ndarray) -> np.ndarray:
    """Rows around known ones and far away."""
    random = np.random.default_rng(2)
    return np.concatenate([X, *(X + random.normal(size=X.shape) * scale for scale in (1e-3, 1.0, 1e6))])


@pytest.fixture
def accelerated(open_model, tmp_path):
    """Opens a model, looks for its engine: `host, verdict, engine = accelerated(model)`."""

    def opened(model: Any):
        host, verdict = open_model(saved(model, tmp_path / "model.joblib"))
        assert verdict.status == "ready", verdict.reason
        return host, verdict, host.accelerate(timeout_s=60)

    return opened


def ask(host, X: np.ndarray, outputs=("label",), **options: Any) -> dict[str, Any]:
    host.submit(PredictCall(rows=len(X), outputs=outputs, matrix=[X.tobytes()], **options))
    return host.receive(timeout_s=60).outputs


def answers(host, verdict, X: np.ndarray) -> dict[str, Any]:
    """In calls of 200 rows, which no engine leaves to the model itself."""
    outputs = tuple(output.name for output in verdict.signature.outputs)
    parts = [ask(host, X[at : at + 200], outputs) for at in range(0, len(X), 200)]
    return {name: [value for part in parts for value in part[name]] for name in outputs}


def fitted(recipe: Recipe) -> tuple[Any, np.ndarray]:
    """The model, and the rows that it was fitted to."""
    estimator, (X, y) = recipe
    return clone(estimator).fit(X, y), X


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_model_answers_to_the_last_bit(accelerated, name):
    model, known = fitted(LINEAR[name])
    X = spread(known)
    host, verdict, engine = accelerated(model)

    given = answers(host, verdict, X)

    assert engine.name == "linear", engine.why
    np.testing.assert_array_equal(given["label"], in_calls(model.predict, X))
    if "probabilities" in given:
        np.testing.assert_array_equal(given["probabilities"], in_calls(model.predict_proba, X))


@pytest.mark.parametrize("name", TREES)
def test_trees_answer_to_the_last_bit_also_where_they_split(accelerated, name):
    model, known = fitted(TREES[name])
    X = edges(model, known)
    host, verdict, engine = accelerated(model)

    given = answers(host, verdict, X)

    assert engine.name == "onnxruntime", engine.why
    np.testing.assert_array_equal(given["label"], model.predict(X))
    if "probabilities" in given:
        np.testing.assert_allclose(given["probabilities"], model.predict_proba(X), rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", CONVERTED)
def test_a_converted_model_gives_the_same_labels(accelerated, name):
    model, known = fitted(CONVERTED[name])
    X = spread(known)
    host, verdict, engine = accelerated(model)

    given = answers(host, verdict, X)

    assert engine.name == "onnxruntime", engine.why
    assert engine.tie_margin > 0
    np.testing.assert_array_equal(given["label"], model.predict(X))
    np.testing.assert_allclose(given["probabilities"], model.predict_proba(X), rtol=0, atol=1e-5)


@pytest.mark.parametrize("data", [CANCER, IRIS, DIABETES], ids=["binary", "classes", "regression"])
@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_boosters_of_other_libraries_are_compiled_where_those_are_installed(accelerated, library, data):
    boosters = pytest.importorskip(library)
    kind = "Regressor" if data is DIABETES else "Classifier"
    prefix, quiet = ("LGBM", {"verbose": -1}) if library == "lightgbm" else ("XGB", {})
    model = getattr(boosters, prefix + kind)(n_estimators=20, **quiet).fit(*data)
    host, verdict, engine = accelerated(model)

    given = answers(host, verdict, data[0])

    assert engine.name == "treelite", engine.why
    np.testing.assert_allclose(given["label"], model.predict(data[0]), rtol=1e-5)
    if "probabilities" in given:
        np.testing.assert_allclose(given["probabilities"], model.predict_proba(data[0]), atol=1e-5)


@pytest.mark.parametrize("name", NATIVE)
def test_other_families_stay_native_and_say_why(accelerated, name):
    *recipe, reason = NATIVE[name]
    model, X = fitted(tuple(recipe))
    host, verdict, engine = accelerated(model)

    given = answers(host, verdict, X)

    assert engine.name == "native"
    assert reason in engine.why
    np.testing.assert_array_equal(given["label"], model.predict(X))


def test_one_row_is_answered_as_many_are(accelerated):
    model, _ = fitted(TREES["forest of texts"])
    host, _, _ = accelerated(model)

    one_by_one = [ask(host, row[None, :], ("label", "probabilities")) for row in IRIS[0]]

    assert [answer["label"][0] for answer in one_by_one] == model.predict(IRIS[0]).tolist()
    assert [answer["probabilities"][0] for answer in one_by_one] == model.predict_proba(IRIS[0]).tolist()


def test_labels_keep_their_type(accelerated):
    texts, _, _ = accelerated(fitted(TREES["forest of texts"])[0])
    numbers, _, _ = accelerated(fitted(TREES["forest"])[0])

    assert type(ask(texts, IRIS[0][:1])["label"][0]) is str
    assert type(ask(numbers, CANCER[0][:1])["label"][0]) is int


def test_numbers_can_be_had_as_arrays_from_an_engine(accelerated):
    model, _ = fitted(TREES["forest"])
    host, _, engine = accelerated(model)

    given = ask(host, CANCER[0], ("label", "probabilities"), reply_as="arrays")

    assert engine.name == "onnxruntime"
    np.testing.assert_array_equal(given["label"], model.predict(CANCER[0]))
    np.testing.assert_allclose(given["probabilities"], model.predict_proba(CANCER[0]), atol=1e-15)


def test_a_row_that_the_model_refuses_is_refused_in_its_own_words(accelerated):
    host, _, engine = accelerated(fitted(LINEAR["texts"])[0])
    gap = np.array([[1.0, 2.0, np.nan, 4.0]])

    with pytest.raises(ModelFailed, match="ValueError: Input X contains NaN"):
        ask(host, gap)

    assert engine.name == "linear"
    assert ask(host, IRIS[0][:1])["label"] == ["setosa"]


def test_a_value_too_large_for_32_bits_is_refused_as_the_model_does(accelerated):
    host, _, _ = accelerated(fitted(TREES["one tree"])[0])

    with pytest.raises(ModelFailed, match="too large for dtype"):
        ask(host, np.full((1, 4), 1e39))


def in_calls(predict, X: np.ndarray) -> np.ndarray:
    """Asked in calls as large as the host's: a product of matrices may round otherwise for other sizes."""
    return np.concatenate([predict(X[at : at + 200]) for at in range(0, len(X), 200)])
