"""CatBoost's models, out of the binary files that `save_model` writes."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from shared.catalog.verdict import Column, Contents, Datatype, Layout, Library
from workers.host.artifact import Artifact
from workers.host.error_text import describe, shown
from workers.host.rejection import Rejected, truncated
from workers.host.runtimes.library import library
from workers.host.runtimes.library_model import Answers, Facts
from workers.host.runtimes.tabular import Inputs, TabularModel, numbered

_MAGIC = b"CBM1"
_HEADER_BYTES = 8  # the magic, then the size of the model's core
_VERSION = re.compile(rb"Git info:\n.{0,200}?Branch: tags/v(\d{1,3}(?:\.\d{1,3}){1,3})\n", re.DOTALL)
_CLASSIFIES = (
    "Logloss",
    "CrossEntropy",
    "MultiClass",
    "MultiClassOneVsAll",
    "MultiLogloss",
    "MultiCrossEntropy",
)
_SEVERAL_LABELS = ("MultiLogloss", "MultiCrossEntropy")
_SAVE_AGAIN = "Save it with `model.save_model('model.cbm')` and upload that file."


class CatboostRuntime:
    """Opens what `save_model` writes unless it is told another format."""

    name = "catboost"

    def recognises(self, artifact: Artifact) -> bool:
        """Whether it begins with CatBoost's magic."""
        return artifact.head.startswith(_MAGIC) and artifact.size_bytes > _HEADER_BYTES

    def read(self, artifact: Artifact) -> Contents:
        """The version that wrote it, where it was a release, and that the core is whole."""
        version = _version(_content(artifact))
        return Contents(format="catboost-cbm", runtime=self.name, needs={"catboost": version})

    def load(self, artifact: Artifact) -> TabularModel:
        """Open it, and see what it takes."""
        content = _content(artifact)
        model = _model(content)
        inputs = _inputs(model.opened)
        facts = Facts(
            format="catboost-cbm",
            estimator=f"{type(model.estimator).__module__}.{type(model.estimator).__name__} ({model.loss})",
            libraries={"catboost": Library(artifact=_version(content), installed=model.installed)},
        )
        return TabularModel(
            facts,
            lambda _: inputs,
            model.answers,
            classes=model.classes,
            offers=("label", "probabilities") if model.classifies else ("label",),
        )


class _Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model that was opened.

    Attributes:
        opened: as it is, for what it says of itself.
        estimator: the same as a classifier or regressor.
    """

    opened: Any
    estimator: Any
    loss: str
    installed: str

    @property
    def classifies(self) -> bool:
        return self.loss in _CLASSIFIES

    @property
    def classes(self) -> list[Any] | None:
        """In the order of the probabilities; None where each row has several labels."""
        if not self.classifies or self.loss in _SEVERAL_LABELS:
            return None
        return np.asarray(self.estimator.classes_).tolist()  # type: ignore[no-any-return]

    def answers(self, rows: Any, outputs: Sequence[str]) -> Answers:
        """By the estimator's own methods."""
        methods = {"label": "predict", "probabilities": "predict_proba"}
        found = {
            name: np.asarray(getattr(self.estimator, methods[name])(rows, thread_count=1)) for name in outputs
        }
        label = found.get("label")
        if label is not None and label.ndim > 1 and label.shape[1] == 1:  # of three classes or more
            found["label"] = label[:, 0]
        return found


def _model(content: bytes) -> _Model:
    """Open it as what its loss function says it is.

    Raises:
        Rejected: it cannot be opened.
    """
    catboost = library("catboost")
    try:
        opened = catboost.CatBoost().load_model(blob=content)
        loss = _loss(dict(opened.get_metadata()))
        if loss in _CLASSIFIES:
            estimator = catboost.CatBoostClassifier()
        else:  # by its loss it knows whether to give its scores as they are, or their exponents
            estimator = catboost.CatBoostRegressor(loss_function=loss)
        estimator.load_model(blob=content)
    except Exception as error:
        what = describe(error)
        raise Rejected("load_failed", f"CatBoost cannot open the file: {what}.", _SAVE_AGAIN) from error
    return _Model(opened=opened, estimator=estimator, loss=loss, installed=catboost.__version__)


def _loss(metadata: Mapping[str, str]) -> str:
    """The loss function's name, without its parameters."""
    parameters = json.loads(metadata.get("params", "{}"))
    loss = parameters.get("loss_function", {}).get("type")
    if isinstance(loss, str) and not loss.startswith("PythonUserDefined"):
        return loss
    return "Logloss" if metadata.get("class_params") else "RMSE"


def _inputs(model: Any) -> Inputs:
    """Numbers, and text for categories and texts; a matrix where there are only numbers."""
    names = [str(name) for name in model.feature_names_]
    if model.get_embedding_feature_indices():
        raise Rejected(
            "input_unsupported",
            "The model takes embeddings, which are lists of numbers in one column of a table.",
            "Train it on a column for each of their numbers.",
        )
    texts = {*model.get_cat_feature_indices(), *model.get_text_feature_indices()}
    named = names != [str(at) for at in range(len(names))]
    shown_names = names if named else [column.name for column in numbered(len(names))]
    columns = [
        Column(name=name, datatype=Datatype.BYTES if at in texts else Datatype.FP64)
        for at, name in enumerate(shown_names)
    ]
    return Inputs(columns=columns, named=named, layout=Layout.TABLE if texts else Layout.MATRIX)


def _version(content: bytes) -> str | None:
    found = _VERSION.search(content)
    return shown(found[1].decode()) if found else None


def _content(artifact: Artifact) -> bytes:
    artifact.file.seek(0)
    content = artifact.file.read()
    artifact.file.seek(0)
    if len(content) < _HEADER_BYTES + int.from_bytes(content[4:_HEADER_BYTES], "little"):
        raise truncated()
    return content
