"""Every estimator of the installed scikit-learn, fitted on a few rows: what models may look like."""

import contextlib
import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import DBSCAN
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    StackingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401  to list them
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import (
    SelectFromModel,
    SelectKBest,
    chi2,
    f_regression,
    mutual_info_classif,
    mutual_info_regression,
)
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor, kernels
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier, SGDRegressor
from sklearn.metrics import fbeta_score, get_scorer, get_scorer_names, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV, StratifiedKFold, TimeSeriesSplit
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

ROWS = 60
_FUNCTIONS = (
    np.log1p,
    np.expm1,
    np.log,
    np.exp,
    np.sqrt,
    np.square,
    np.abs,
    np.sin,
    np.cos,
    np.tanh,
    np.sign,
)
_METRICS = ("euclidean", "manhattan", "chebyshev", "minkowski", "canberra", "braycurtis", "hamming", "cosine")
_LOSSES = {
    GradientBoostingRegressor: ("squared_error", "absolute_error", "huber", "quantile"),
    HistGradientBoostingRegressor: ("squared_error", "absolute_error", "poisson", "gamma"),
    SGDRegressor: ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"),
}
_CLASSIFYING_LOSSES = {
    GradientBoostingClassifier: ("log_loss", "exponential"),
    SGDClassifier: ("hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron"),
}


def fitted_estimators() -> Iterator[tuple[str, BaseEstimator]]:
    """A name and a fitted estimator each: all there are, then some as people put them together."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, kind in all_estimators():
            fitted = _fitted(kind)
            if fitted is not None:
                yield name, fitted
        for name, estimator, X, y in _put_together():
            with contextlib.suppress(TypeError, ValueError):  # older releases lack a parameter or a loss
                yield name, estimator.fit(X, y)


def _fitted(kind: type) -> BaseEstimator | None:
    """The estimator, fitted on the first data that it takes; None where it takes none of ours."""
    for X, y in _data():
        try:
            estimator = kind(**_arguments(kind))
            estimator.fit(X, y) if "y" in inspect.signature(kind.fit).parameters else estimator.fit(X)
        except Exception:  # noqa: BLE001  the next data may fit
            continue
        return estimator
    return None


def _arguments(kind: type) -> dict[str, Any]:
    """What it cannot do without, and what makes it quick."""
    given: dict[str, Any] = {
        "estimator": LogisticRegression(),
        "base_estimator": LogisticRegression(),
        "estimators": [("a", LogisticRegression()), ("b", GaussianNB())],
        "transformers": [("a", StandardScaler(), [0, 1])],
        "transformer_list": [("a", StandardScaler()), ("b", PCA(1))],
        "steps": [("a", StandardScaler()), ("b", LogisticRegression())],
        "param_grid": {"C": [1.0, 2.0]},
        "param_distributions": {"C": [1.0, 2.0]},
        "dictionary": np.eye(6),
    }
    if kind.__name__ in ("VotingRegressor", "StackingRegressor"):
        given["estimators"] = [("a", LinearRegression()), ("b", Ridge())]
    if kind.__name__ in ("RegressorChain", "MultiOutputRegressor"):
        given["estimator"] = given["base_estimator"] = Ridge()
    taken = inspect.signature(kind).parameters
    wanted = {name: value for name, value in given.items() if name in taken and _required(taken[name])}
    limits = {"n_estimators": 3, "max_iter": 20, "random_state": 0, "n_iter": 2, "min_samples_leaf": 1}
    return wanted | {name: value for name, value in limits.items() if name in taken}


def _required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty


def _data() -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    X, classes = rng.normal(size=(ROWS, 6)), np.arange(ROWS) % 3
    numbers = np.abs(X[:, 0]) + 0.1
    texts = [f"a word {number} and others {number % 7}" for number in range(ROWS)]
    return [
        (X, classes),
        (np.abs(X), classes),
        (X, numbers),
        (X, np.column_stack([classes, classes % 2])),
        (X, np.column_stack([numbers, numbers])),
        (X[:, 0], numbers),
        (classes, None),
        (texts, classes),
        ([{"colour": text, "size": 1.0} for text in texts], None),
        ([{1, 2}, {2, 3}], None),
        (X @ X.T, classes),
        ([X, X], None),
    ]


def _put_together() -> Iterator[tuple[str, BaseEstimator, Any, Any]]:
    (X, classes), (_, numbers) = _data()[0], _data()[2]
    for name, estimator in _on_classes():
        yield name, estimator, np.abs(X), classes
    for name, estimator in _on_numbers():
        yield name, estimator, np.abs(X), numbers
    for kind, losses in _CLASSIFYING_LOSSES.items():
        for loss in losses:
            yield f"{kind.__name__} {loss}", kind(loss=loss), X, classes % 2
    for name, estimator in _on_tables():
        yield name, estimator, *_table()
    texts = [f"word{number} and more" for number in range(ROWS)]
    text_model = make_pipeline(TfidfVectorizer(stop_words="english"), TruncatedSVD(2), LogisticRegression())
    yield "texts", text_model, texts, classes
    yield "sparse rows", LogisticRegression(), sparse.csr_matrix(X), classes
    yield "names of classes", RandomForestClassifier(3), X, np.array(["a", "b", "c"])[classes]
    yield "objects as classes", LogisticRegression(), X, np.array(["a", "b", "c"], dtype=object)[classes]
    scorers = {name: get_scorer(name) for name in get_scorer_names()}  # that searches keep
    yield "scorers", FunctionTransformer(kw_args=scorers), X, None
    yield "32-bit numbers", LinearRegression(), X.astype(np.float32), numbers


def _on_classes() -> Iterator[tuple[str, BaseEstimator]]:
    yield "calibrated", CalibratedClassifierCV(LogisticRegression(), cv=3, method="isotonic")
    yield "stacking", StackingClassifier([("a", GaussianNB()), ("b", DecisionTreeClassifier())], cv=2)
    yield "selected", make_pipeline(SelectKBest(chi2, k=2), LogisticRegression())
    yield "selected by information", SelectKBest(mutual_info_classif, k=2)
    yield (
        "selected by a model",
        make_pipeline(SelectFromModel(RandomForestClassifier(3)), SVC(probability=True)),
    )
    yield "drawn by a state", RandomForestClassifier(3, random_state=np.random.RandomState(0))
    yield "union", make_pipeline(FeatureUnion([("a", PCA(1)), ("b", StandardScaler())]), LogisticRegression())
    scorer = make_scorer(fbeta_score, beta=2, average="macro")
    yield "search", GridSearchCV(SVC(), {"C": [1.0]}, cv=StratifiedKFold(2), scoring=scorer)
    yield "random search", RandomizedSearchCV(SVC(), {"C": [1.0, 2.0]}, n_iter=2, cv=KFold(2))
    for kernel in (
        kernels.RBF(),
        kernels.Matern() + kernels.WhiteKernel(),
        2.0 * kernels.RationalQuadratic(),
    ):
        yield f"process {kernel}", GaussianProcessClassifier(kernel)
    for metric in _METRICS:
        yield f"neighbours by {metric}", KNeighborsClassifier(3, metric=metric)
    for loss in ("log_loss",):
        yield f"histograms {loss}", HistGradientBoostingClassifier(max_iter=3, loss=loss)


def _on_numbers() -> Iterator[tuple[str, BaseEstimator]]:
    for function in _FUNCTIONS:
        yield f"after {function.__name__}", make_pipeline(FunctionTransformer(function), LinearRegression())
    yield (
        "on a logarithm",
        TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1),
    )
    yield "on a scale", TransformedTargetRegressor(LinearRegression(), transformer=StandardScaler())
    yield "selected numbers", SelectKBest(f_regression, k=2)
    yield "selected numbers by information", SelectKBest(mutual_info_regression, k=2)
    yield "voting", VotingRegressor([("a", LinearRegression()), ("b", KNeighborsRegressor(2))])
    yield "search of numbers", GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=TimeSeriesSplit(2), scoring="r2")
    yield "density", KernelDensity()
    yield "clusters", DBSCAN()
    yield "ball tree", KNeighborsRegressor(2, algorithm="ball_tree")
    for kernel in (
        kernels.ExpSineSquared() + kernels.WhiteKernel(),
        kernels.DotProduct(),
        kernels.ConstantKernel() ** 2,
    ):
        yield f"process of numbers {kernel}", GaussianProcessRegressor(kernel, alpha=1.0)
    for kind, losses in _LOSSES.items():
        for loss in losses:
            extra = {"quantile": 0.5} if loss == "quantile" and kind is HistGradientBoostingRegressor else {}
            yield f"{kind.__name__} {loss}", kind(loss=loss, **extra)


def _on_tables() -> Iterator[tuple[str, BaseEstimator]]:
    numbers = Pipeline([("fill", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    words = Pipeline([("fill", SimpleImputer(strategy="most_frequent")), ("encode", OneHotEncoder())])
    by_kind = [
        ("numbers", numbers, make_column_selector(dtype_include="number")),
        ("words", words, make_column_selector(dtype_exclude="number")),
    ]
    yield "table", make_pipeline(ColumnTransformer(by_kind), LogisticRegression())
    by_name = [("numbers", KNNImputer(), ["age"]), ("words", OrdinalEncoder(), ["city"])]
    yield (
        "table by name",
        make_pipeline(ColumnTransformer(by_name, remainder="passthrough"), RandomForestClassifier(3)),
    )
    tables = ColumnTransformer(by_name).set_output(transform="pandas")
    yield "table to table", make_pipeline(tables, LogisticRegression())


def _table() -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"age": rng.normal(size=ROWS), "city": rng.choice(["Rome", "Oslo"], ROWS), "income": np.arange(ROWS)}
    )
    return table, pd.Series(np.where(np.arange(ROWS) % 3, "yes", "no"))
