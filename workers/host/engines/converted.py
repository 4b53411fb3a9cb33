"""Families without an engine of their own here, converted to ONNX by skl2onnx."""

from typing import Any

from sklearn import decomposition, linear_model, naive_bayes, neural_network, preprocessing
from sklearn.base import is_classifier
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from workers.host.engines import onnx_session
from workers.host.engines.compiled import CannotCompile, Compiled
from workers.host.engines.links import Given, Link, Values

# Smooth functions only. What jumps (neighbours, clusters, bins, trees in a committee) can differ where no
# row that was tried shows it.
_CLASSIFIERS: tuple[type, ...] = (
    neural_network.MLPClassifier,
    naive_bayes.GaussianNB,
    QuadraticDiscriminantAnalysis,
    linear_model.LogisticRegression,
)
_REGRESSORS: tuple[type, ...] = (
    neural_network.MLPRegressor,
    linear_model.LinearRegression,
    linear_model.Ridge,
    linear_model.Lasso,
    linear_model.ElasticNet,
)
_TRANSFORMERS: tuple[type, ...] = (
    preprocessing.StandardScaler,
    preprocessing.MinMaxScaler,
    preprocessing.MaxAbsScaler,
    preprocessing.RobustScaler,
    preprocessing.PolynomialFeatures,
    preprocessing.Normalizer,
    preprocessing.PowerTransformer,
    decomposition.PCA,
    decomposition.TruncatedSVD,
    SimpleImputer,
)


def compile_converted(model: Any, columns: int) -> Compiled | None:
    """The model as skl2onnx writes it in 64 bits; None where its family is not tried.

    Raises:
        CannotCompile: the conversion fails.
    """
    steps = [step for _, step in model.steps] if type(model) is Pipeline else [model]
    if not _is_tried(steps):
        return None
    classifies = is_classifier(model)
    graph = _convert(model, columns, classifies=classifies)
    output = "probabilities" if classifies else "variable"
    link: Link | Values = Given() if classifies else Values(flat=True)
    return Compiled(
        engine=onnx_session.ENGINE,
        scores=onnx_session.as_doubles(onnx_session.scores_of(graph, output=output)),
        link=link,
        classes=model.classes_ if classifies else None,
        takes_missing=any(isinstance(step, SimpleImputer) for step in steps),
        tail=model,
    )


def _is_tried(steps: list[Any]) -> bool:
    front, tail = steps[:-1], steps[-1]
    return type(tail) in _CLASSIFIERS + _REGRESSORS and all(type(step) in _TRANSFORMERS for step in front)


def _convert(model: Any, columns: int, *, classifies: bool) -> bytes:
    try:
        import skl2onnx  # noqa: PLC0415  may be missing; the template has imported it where it is not
        from skl2onnx.common.data_types import DoubleTensorType  # noqa: PLC0415
    except ImportError as error:
        raise CannotCompile("skl2onnx is not installed here") from error
    inputs = [(onnx_session.INPUT, DoubleTensorType([None, columns]))]
    options = {"zipmap": False} if classifies else None
    try:
        converted = skl2onnx.convert_sklearn(
            model, initial_types=inputs, options={id(model): options} if options else None
        )
    except Exception as error:
        raise CannotCompile(f"skl2onnx cannot convert it ({type(error).__name__})") from error
    return bytes(converted.SerializeToString())
