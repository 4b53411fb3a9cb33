"""XGBoost's boosters, out of the files that `save_model` writes."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.catalog.verdict import Contents, Library
from workers.host.artifact import Artifact
from workers.host.error_text import describe, shown
from workers.host.rejection import Rejected
from workers.host.runtimes import xgboost_file
from workers.host.runtimes.boosting import classified, softmax
from workers.host.runtimes.categories import CategoryCodes, booster_inputs
from workers.host.runtimes.library import library
from workers.host.runtimes.library_model import Answers, Facts
from workers.host.runtimes.tabular import TabularModel
from workers.host.runtimes.xgboost_learner import Learner, categories_of, read_learner

_SAVE_AGAIN = "Save it with `model.save_model('model.ubj')` and upload that file."
_SOFTMAX, _HINGE = "multi:softmax", "binary:hinge"
_PROBABILITIES = ("binary:logistic", "multi:softprob", _SOFTMAX)


class XgboostRuntime:
    """Opens JSON, UBJSON, and the binary format that XGBoost wrote and read until 3.0."""

    name = "xgboost"

    def recognises(self, artifact: Artifact) -> bool:
        """Whether it begins as one of the three."""
        return xgboost_file.format_of(artifact) is not None

    def read(self, artifact: Artifact) -> Contents:
        """The version that wrote it, and that it is whole."""
        fmt = xgboost_file.format_of(artifact) or ""
        version = xgboost_file.version_of(artifact, fmt)
        needed = xgboost_file.READS_BINARY if fmt == xgboost_file.BINARY else version
        return Contents(format=fmt, runtime=self.name, needs={"xgboost": needed}, runs_code=False)

    def load(self, artifact: Artifact) -> TabularModel:
        """Open it, and see what it takes."""
        fmt = xgboost_file.format_of(artifact) or ""
        version = xgboost_file.version_of(artifact, fmt)
        booster, installed = _booster(artifact.file.read(), fmt, version)
        learner, categories = _described(booster)
        facts = Facts(
            format=fmt,
            estimator=f"xgboost.Booster ({learner.objective})",
            libraries={"xgboost": Library(artifact=version, installed=installed)},
            warnings=_warnings(learner, categories),
        )
        inputs = booster_inputs(learner.feature_names, learner.width, categories)
        coder = CategoryCodes(learner.names, categories, strict=True)
        predictor = _Predictor(booster, learner)
        return TabularModel(
            facts,
            lambda _: inputs,
            lambda rows, outputs: predictor.answers(coder.matrix(rows), outputs),
            classes=learner.classes,
            offers=("label", "probabilities") if learner.objective in _PROBABILITIES else ("label",),
        )


class _Predictor:
    """Answers as the library's own estimators do; what is no classifier, as the booster does."""

    def __init__(self, booster: Any, learner: Learner) -> None:
        self._booster, self._learner = booster, learner
        self._classes = None if learner.classes is None else np.array(learner.classes)

    def answers(self, matrix: NDArray[np.float64], outputs: Sequence[str]) -> Answers:
        objective = self._learner.objective
        if objective == _HINGE and self._classes is not None:
            return {"label": self._classes[self._scores(matrix).astype(np.intp)]}
        if objective == _SOFTMAX:
            return classified(softmax(self._scores(matrix, margin=True)), self._classes, outputs)
        scores = self._scores(matrix)
        if objective in _PROBABILITIES:
            return classified(scores, self._classes, outputs)
        return {"label": scores}

    def _scores(self, matrix: NDArray[np.float64], *, margin: bool = False) -> NDArray[Any]:
        if self._learner.booster == "gblinear":
            return self._scores_of_linear(matrix, margin=margin)
        scores: NDArray[Any] = self._booster.inplace_predict(
            matrix,
            iteration_range=self._learner.trees,
            predict_type="margin" if margin else "value",
            validate_features=False,  # their number is checked before, and they have no names here
        )
        return scores

    def _scores_of_linear(self, matrix: NDArray[np.float64], *, margin: bool) -> NDArray[Any]:
        """The one that takes no array."""
        rows = library("xgboost").DMatrix(matrix, nthread=1)
        scores: NDArray[Any] = self._booster.predict(rows, output_margin=margin, validate_features=False)
        return scores


def _booster(content: bytes, fmt: str, version: str | None) -> tuple[Any, str]:
    """The booster, on one thread, and the version of the library that opened it.

    Raises:
        Rejected: it cannot be opened.
    """
    xgboost = library("xgboost")
    installed: str = xgboost.__version__
    try:
        return xgboost.Booster({"nthread": 1}, model_file=bytearray(content)), installed
    except Exception as error:
        what = shown(str(error).split("\n")[0])  # a stack of C++ follows
        if fmt == xgboost_file.BINARY or (version or installed).split(".")[:2] != installed.split(".")[:2]:
            there = version or "before 1.0"
            raise Rejected(
                "version_mismatch",
                f"Saved with XGBoost {there}, it cannot be opened with {installed}: {what}.",
                f"Open it with the version that saved it. {_SAVE_AGAIN}",
            ) from error
        raise Rejected("load_failed", f"XGBoost cannot open the file: {what}.", _SAVE_AGAIN) from error


def _described(booster: Any) -> tuple[Learner, dict[int, list[Any]]]:
    try:
        learner = read_learner(booster)
        return learner, categories_of(booster, learner)
    except (KeyError, IndexError, ValueError, msgspec.MsgspecError) as error:
        what = describe(error)
        raise Rejected(
            "load_failed", f"The booster does not describe itself: {what}.", _SAVE_AGAIN
        ) from error


def _warnings(learner: Learner, categories: Mapping[int, Sequence[Any]]) -> list[str]:
    warnings = []
    coded = [learner.names[at] for at in learner.categorical if at not in categories]
    if coded:
        warnings.append(
            f"The file has no names of categories: send their codes, 0, 1, 2, …, for {', '.join(coded[:10])}."
        )
    if learner.stopped_early is not None:
        warnings.append(
            f"Training went on after its best round, {learner.stopped_early}, and all rounds answer, as "
            "`Booster.predict` does. Save `booster[: booster.best_iteration + 1]` for those up to the best."
        )
    return warnings
