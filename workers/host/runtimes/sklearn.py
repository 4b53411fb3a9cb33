"""Scikit-learn, out of joblib files and pickles."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import NDArray
from sklearn import exceptions
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from shared.catalog.verdict import Contents, Datatype, Library, Signature
from workers.host.artifact import Artifact
from workers.host.reading.pickled import format_of, pickled_contents
from workers.host.rejection import Rejected
from workers.host.rows import Rows
from workers.host.runtimes import pickles, sklearn_refusals
from workers.host.runtimes.library import installed_python
from workers.host.runtimes.pickles import Global
from workers.host.runtimes.runtime import Description
from workers.host.runtimes.sklearn_columns import column_hints
from workers.host.runtimes.sklearn_outputs import Methods
from workers.host.runtimes.sklearn_rows import form_of
from workers.host.runtimes.sklearn_signature import describe

_THREADED = ("lightgbm", "xgboost")
_DRAWING = ("stratified", "uniform")  # strategies of a DummyClassifier


class SklearnRuntime:
    """Opens fitted estimators that predict or transform; also those of other libraries and of cloudpickle."""

    name = "sklearn"

    def recognises(self, artifact: Artifact) -> bool:
        """Whether it is a pickle; what is in it, only loading tells."""
        return pickles.is_pickle(artifact)

    def read(self, artifact: Artifact) -> Contents:
        """What it imports, and the versions that it tells."""
        return pickled_contents(artifact, runtime=self.name)

    def load(self, artifact: Artifact) -> "SklearnModel":
        """Unpickle it, and see that it is a fitted estimator."""
        fmt = format_of(artifact)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded, seen = _unpickled(artifact, fmt)
        made_with = recorded_version(caught) or (sklearn.__version__ if _mentions_sklearn(seen) else None)
        return model_of(loaded, fmt, seen, made_with)


def model_of(loaded: Any, fmt: str, seen: set[Global], made_with: str | None) -> "SklearnModel":
    """See that what was loaded is a fitted estimator.

    Args:
        seen: the names that loading it imported.
        made_with: the version of scikit-learn that wrote it.

    Raises:
        Rejected: it is none.
    """
    sklearn_refusals.refuse_what_cannot_answer(loaded)
    _refuse_unfitted(loaded)
    _hold_to_one_thread(loaded)
    return SklearnModel(loaded, fmt, seen, made_with)


class SklearnModel:
    """A fitted estimator; see `LoadedModel` for what its attributes mean."""

    def __init__(self, estimator: Any, fmt: str, seen: set[Global], made_with: str | None) -> None:
        self.format = fmt
        self.estimator = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
        self.libraries = _libraries(seen, made_with)
        self.warnings = _version_warnings(made_with)
        self.none_columns: frozenset[str] = frozenset()
        self._made_with = made_with
        self._seen = seen
        self.fitted = estimator
        self._form = form_of(estimator)
        self._methods = Methods(estimator)

    def describe(self, sample: pd.DataFrame | None) -> Description:
        """Look at the estimator, then try it; a failure is put down to its version where that differs."""
        try:
            return describe(self, self._methods, self._seen, sample)
        except Rejected as refusal:
            if refusal.reason.code == "probe_failed" and self._version_differs:
                raise sklearn_refusals.version_breaks(self._made_with, refusal.reason.message) from refusal
            raise

    def accept(self, signature: Signature) -> None:
        """Remember which columns keep None as None."""
        if any(column.datatype is Datatype.BYTES for column in signature.inputs):
            hints = column_hints(self.fitted, len(signature.inputs))
            names = [column.name for column in signature.inputs]
            self.none_columns = frozenset(names[at] for at, hint in hints.items() if hint.takes_none)

    def predict(self, rows: Rows, outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Call the estimator's own methods."""
        answers = self._methods.answer(rows if self._form is None else self._form(rows), outputs)
        for name, answer in answers.items():
            if answer.shape[:1] != (len(rows),):
                answers[name] = _of_one_row(answer, len(rows))
        return answers

    def draws(self) -> bool:
        """Whether something in it guesses: perhaps only where rows have gaps, which a probe has not."""
        return any(_guesses(part) for part in _parts(self.fitted))

    @property
    def _version_differs(self) -> bool:
        return self._made_with is not None and self._made_with != sklearn.__version__


def _of_one_row(answer: NDArray[Any], rows: int) -> NDArray[Any]:
    """The answer to one row which came without a dimension of rows, as a SparsePCA gives it."""
    if rows != 1 or answer.ndim != 1:
        raise ValueError(f"the model answered {answer.shape[:1]} rows where {rows} were given")
    return answer.reshape(1, -1)


def _unpickled(artifact: Artifact, fmt: str) -> tuple[Any, set[Global]]:
    try:
        return pickles.unpickle(artifact, fmt)
    except Exception as error:
        version = pickles.recorded_sklearn_version(artifact)
        raise sklearn_refusals.unreadable(error, version) from error


def _parts(estimator: Any) -> list[Any]:
    """The estimator and those that it was made of, as far as its parameters tell."""
    named = estimator.get_params(deep=True) if isinstance(estimator, BaseEstimator) else {}
    return [estimator, *named.values()]


def _guesses(part: Any) -> bool:
    if isinstance(part, DummyClassifier):
        return part.strategy in _DRAWING
    # By name: to import an IterativeImputer is to switch an experiment of scikit-learn on.
    return type(part).__name__ == "IterativeImputer" and bool(part.sample_posterior)


def _hold_to_one_thread(estimator: Any) -> None:
    """Boosters of these libraries start threads of their own, whatever the environment says."""
    for part in _parts(estimator):
        if type(part).__module__.split(".")[0] in _THREADED and isinstance(part, BaseEstimator):
            part.set_params(n_jobs=1)


def recorded_version(caught: Iterable[warnings.WarningMessage]) -> str | None:
    """Scikit-learn warns where an estimator's version is another than its own."""
    kind = getattr(exceptions, "InconsistentVersionWarning", ())  # before 1.3 it was none of its own
    versions = (
        str(warning.message.original_sklearn_version)
        for warning in caught
        if isinstance(warning.message, kind)
    )
    return next(versions, None)


def _mentions_sklearn(seen: set[Global]) -> bool:
    return any(module.split(".")[0] == "sklearn" for module, _ in seen)


def _libraries(seen: set[Global], made_with: str | None) -> dict[str, Library]:
    libraries = {
        "python": installed_python(),
        "numpy": Library(artifact=_numpy_generation(seen), installed=np.__version__),
    }
    if made_with is not None:
        libraries["scikit-learn"] = Library(artifact=made_with, installed=sklearn.__version__)
    return libraries


def _numpy_generation(seen: set[Global]) -> str | None:
    """A pickle names no version of NumPy, but the place of its insides moved in 2.0."""
    modules = {module for module, _ in seen}
    if any(module.startswith("numpy._core") for module in modules):
        return "2"
    return "1" if any(module.startswith("numpy.core") for module in modules) else None


def _version_warnings(made_with: str | None) -> list[str]:
    if made_with is None or made_with == sklearn.__version__:
        return []
    versions = f"Saved with scikit-learn {made_with} and opened with {sklearn.__version__}"
    return [f"{versions}: it answers, but perhaps otherwise than where it was trained."]


def _refuse_unfitted(loaded: Any) -> None:
    if not isinstance(loaded, BaseEstimator) or not hasattr(loaded, "fit"):
        return
    try:
        check_is_fitted(loaded)
    except NotFittedError as error:
        raise Rejected(
            "not_fitted",
            f"The {type(loaded).__name__} in the file has not been fitted.",
            "Call `model.fit(X, y)` before you save it.",
        ) from error
