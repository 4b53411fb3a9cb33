"""LightGBM's boosters, out of the text that `save_model` writes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.catalog.verdict import Contents, Library
from workers.host.artifact import Artifact
from workers.host.error_text import describe
from workers.host.rejection import Rejected
from workers.host.runtimes.boosting import classified
from workers.host.runtimes.categories import CategoryCodes, booster_inputs
from workers.host.runtimes.library import library
from workers.host.runtimes.library_model import Answers, Facts
from workers.host.runtimes.lightgbm_text import LightgbmText, is_lightgbm, read_text
from workers.host.runtimes.tabular import TabularModel

_BINARY, _MULTICLASS = ("binary",), ("multiclass", "multiclassova")
_SAVE_AGAIN = "Save it with `booster.save_model('model.txt')` and upload that file."


class LightgbmRuntime:
    """Opens what `Booster.save_model` writes; of an estimator, save its `booster_`."""

    name = "lightgbm"

    def recognises(self, artifact: Artifact) -> bool:
        """Whether it begins with LightGBM's header."""
        return is_lightgbm(artifact)

    def read(self, artifact: Artifact) -> Contents:
        """See that it is whole. It tells the version of its format only."""
        read_text(_content(artifact))
        return Contents(format="lightgbm-text", runtime=self.name, needs={"lightgbm": None}, runs_code=False)

    def load(self, artifact: Artifact) -> TabularModel:
        """Open it, and see what it takes."""
        text = read_text(_content(artifact))
        categories = _placed(text)
        booster, installed = _booster(text.text)
        classifies = text.objective in (*_BINARY, *_MULTICLASS)
        count = 2 if text.objective in _BINARY else text.classes
        facts = Facts(
            format="lightgbm-text",
            estimator=f"lightgbm.Booster ({text.objective or 'an objective of its own'})",
            libraries={"lightgbm": Library(artifact=None, installed=installed)},
            warnings=_warnings(text, classifies=classifies),
        )
        inputs = booster_inputs(text.feature_names, len(text.names), categories)
        coder = CategoryCodes(text.names, categories, strict=False)  # unknown ones count as missing there too
        classes = np.arange(count)

        def answer(rows: Any, outputs: Sequence[str]) -> Answers:
            scores = np.asarray(booster.predict(coder.matrix(rows), num_threads=1))
            return classified(scores, classes, outputs) if classifies else {"label": scores}

        return TabularModel(
            facts,
            lambda _: inputs,
            answer,
            classes=classes.tolist() if classifies else None,
            offers=("label", "probabilities") if classifies else ("label",),
        )


def _content(artifact: Artifact) -> bytes:
    artifact.file.seek(0)
    content = artifact.file.read()
    artifact.file.seek(0)
    return content


def _placed(text: LightgbmText) -> dict[int, list[Any]]:
    """Which column each list of categories belongs to.

    Raises:
        Rejected: the file does not tell.
    """
    if not text.categories:
        return {}
    if len(text.categories) != len(text.categorical):
        raise Rejected(
            "categories_unreadable",
            f"The file lists the categories of {len(text.categories)} columns and names "
            f"{len(text.categorical)} as categorical, so that it does not tell which are whose.",
            "Train it with all its categorical columns as unordered pandas categories, and no others named.",
        )
    return dict(zip(text.categorical, text.categories, strict=True))


def _booster(text: str) -> tuple[Any, str]:
    lightgbm = library("lightgbm")
    try:
        return lightgbm.Booster(model_str=text), lightgbm.__version__
    except Exception as error:
        what = describe(error)
        raise Rejected("load_failed", f"LightGBM cannot open the file: {what}.", _SAVE_AGAIN) from error


def _warnings(text: LightgbmText, *, classifies: bool) -> list[str]:
    if classifies:
        return ["The file does not say what its classes are called: they are numbered in their sorted order."]
    if text.objective is None:
        return ["It was trained with an objective of its own: its raw scores are the predictions."]
    return []
