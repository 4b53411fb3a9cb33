"""Linear models: one product of matrices, exactly as scikit-learn takes it."""

from typing import Any

import numpy as np
from sklearn import linear_model, svm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from workers.host.engines.compiled import CannotCompile, Compiled, Scores
from workers.host.engines.links import Link, Logit, Softmax, Values

ENGINE = "linear"

_PROBABLE = (linear_model.LogisticRegression, linear_model.LogisticRegressionCV, LinearDiscriminantAnalysis)
_CLASSIFIERS = (
    *_PROBABLE,
    linear_model.SGDClassifier,
    linear_model.Perceptron,
    svm.LinearSVC,
)
_REGRESSORS = (
    linear_model.LinearRegression,
    linear_model.Ridge,
    linear_model.RidgeCV,
    linear_model.Lasso,
    linear_model.LassoCV,
    linear_model.ElasticNet,
    linear_model.ElasticNetCV,
    linear_model.Lars,
    linear_model.LassoLars,
    linear_model.HuberRegressor,
    linear_model.SGDRegressor,
    linear_model.BayesianRidge,
    linear_model.ARDRegression,
    linear_model.TheilSenRegressor,
    svm.LinearSVR,
)


def compile_linear(model: Any) -> Compiled | None:
    """The model's product and link; None where it is of another family.

    Raises:
        CannotCompile: its coefficients are not plain numbers.
    """
    kind = type(model)
    if kind not in (*_CLASSIFIERS, *_REGRESSORS):
        return None
    scores = _scores(model)
    if kind in _REGRESSORS:
        return Compiled(engine=ENGINE, scores=scores, link=Values(flat=_is_flat(model)), tail=model)
    link = _link(model, kind in _PROBABLE)
    return Compiled(engine=ENGINE, scores=scores, link=link, classes=model.classes_, tail=model)


def _scores(model: Any) -> Scores:
    coefficients, intercept = np.asarray(model.coef_), model.intercept_
    if coefficients.dtype != np.float64 or np.asarray(intercept).dtype.kind != "f":
        raise CannotCompile("its coefficients are not 64-bit floats")
    across = coefficients.T if coefficients.ndim > 1 else coefficients
    if across.ndim == 1:
        return lambda rows: (rows @ across + intercept).reshape(-1, 1)
    return lambda rows: rows @ across + intercept


def _is_flat(model: Any) -> bool:
    return bool(np.ndim(model.coef_) == 1)


def _link(model: Any, probable: bool) -> Link:
    if isinstance(model, linear_model.SGDClassifier):
        probable = model.loss == "log_loss" and len(model.classes_) == 2  # noqa: PLR2004
    one_score = np.shape(model.coef_)[0] == 1
    return Logit(offers_probabilities=probable) if one_score else Softmax(offers_probabilities=probable)
