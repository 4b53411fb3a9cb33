"""MLflow: model folders as zip archives. A file in them of a format known here needs no MLflow."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pandas as pd
from numpy.typing import NDArray

from shared.catalog.verdict import Contents, Layout, Signature
from workers.host.artifact import Artifact
from workers.host.rejection import Rejected
from workers.host.rows import Rows
from workers.host.runtimes.mlflow_folder import MlflowFolder, mlflow_folder, read_folder
from workers.host.runtimes.mlflow_function import function_model, function_needs
from workers.host.runtimes.mlflow_pins import told_apart
from workers.host.runtimes.runtime import Description, LoadedModel, Runtime
from workers.host.runtimes.tensorflow import GRAPH, TensorflowRuntime

_FORMAT = "mlflow"
# By flavor: where it names its file, the library as PyPI names it, and where it names that one's version.
_FLAVORS = {
    "sklearn": ("pickled_model", "scikit-learn", "sklearn_version"),
    "xgboost": ("data", "xgboost", "xgb_version"),
    "lightgbm": ("data", "lightgbm", "lgb_version"),
    "catboost": ("data", "catboost", "catboost_version"),
    "onnx": ("data", "onnx", "onnx_version"),
    "keras": ("data", "keras", "keras_version"),
    "tensorflow": ("data", "keras", "keras_version"),
    "pytorch": ("model_data", "torch", "pytorch_version"),
}
_IN_FOLDER = (
    "model.keras",
    "model.h5",
    "model.pt2",
    "model.pth",
    "model.pt",
)  # where the flavor's file is a folder


class _Inside(msgspec.Struct, frozen=True):
    """A file of the folder that one of the other runtimes opens."""

    runtime: Runtime
    artifact: Artifact
    contents: Contents


class MlflowRuntime:
    """Opens model folders of MLflow.

    Args:
        inner: the runtimes that may open a file in one.
    """

    name = "mlflow"

    def __init__(self, inner: Sequence[Runtime]) -> None:
        self._inner = inner

    def recognises(self, artifact: Artifact) -> bool:
        """Whether an `MLmodel` is at the root of a zip archive, or one folder down."""
        return mlflow_folder(artifact) is not None

    def read(self, artifact: Artifact) -> Contents:
        """What the file inside needs, or MLflow itself; and what the requirements say."""
        said = _read(artifact)
        contents = self._contents(said)
        needs, requirements = told_apart(
            said.requirements, contents.needs if contents else function_needs(said)
        )
        return Contents(
            format=_FORMAT,
            runtime=self.name,
            imports=contents.imports if contents else [],
            imports_count=contents.imports_count if contents else 0,
            needs=needs,
            requirements=requirements,
            runs_code=contents is None or contents.runs_code,
            hides_code=contents is None or contents.hides_code,
        )

    def load(self, artifact: Artifact) -> LoadedModel:
        """Open the file inside, or the whole folder by MLflow."""
        said = _read(artifact)
        graph = _saved_model(said)
        if graph is not None:
            return MlflowModel(TensorflowRuntime().load_folder(said.folder.inside(graph)), said)
        inside = self._inside(said)
        if inside is not None:
            return MlflowModel(inside.runtime.load(inside.artifact), said)
        return function_model(said)

    def _contents(self, said: MlflowFolder) -> Contents | None:
        graph = _saved_model(said)
        if graph is not None:
            return TensorflowRuntime().read_folder(said.folder.inside(graph))
        inside = self._inside(said)
        if inside is None:
            return None
        inside.artifact.file.close()
        return inside.contents

    def _inside(self, said: MlflowFolder) -> _Inside | None:
        """The flavor's file, where another runtime opens it; otherwise MLflow has to."""
        if said.has_code:
            return None
        for flavor in (name for name in _FLAVORS if name in said.flavors):
            path = _file_of(said, flavor)
            if path is None:
                continue
            artifact = said.folder.open_file(path)
            found = self._opened(artifact, said, flavor)
            if found is not None:
                return found
            artifact.file.close()
        return None

    def _opened(self, artifact: Artifact, said: MlflowFolder, flavor: str) -> _Inside | None:
        _, library, field = _FLAVORS[flavor]
        for runtime in self._inner:
            if not runtime.recognises(artifact):
                continue
            try:
                contents = runtime.read(artifact)
            except Rejected:  # a pickle of torch.save, say, of which MLflow knows more
                return None
            artifact.file.seek(0)
            version = said.flavors[flavor].get(field)
            needs = dict(contents.needs)
            if library in needs and needs[library] is None and isinstance(version, str):
                needs[library] = version.partition("+")[0]
            return _Inside(runtime, artifact, msgspec.structs.replace(contents, needs=needs))
        return None


class MlflowModel:
    """The model of a file inside, with what the folder tells of its columns; see `LoadedModel`."""

    format = _FORMAT

    def __init__(self, inner: LoadedModel, said: MlflowFolder) -> None:
        self._inner, self._said = inner, said
        self.fitted, self.estimator = inner.fitted, inner.estimator
        self.libraries, self.warnings = inner.libraries, inner.warnings
        self.none_columns = inner.none_columns

    def describe(self, sample: pd.DataFrame | None) -> Description:
        """By the sample, or by the rows that came in the folder; columns get the names of its signature."""
        description = self._inner.describe(sample) if sample is not None else self._described()
        return msgspec.structs.replace(description, signature=self._named(description.signature))

    def accept(self, signature: Signature) -> None:
        """Predict by this signature from now on."""
        self._inner.accept(signature)
        self.none_columns = self._inner.none_columns

    def predict(self, rows: Rows, outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The inner model's answers."""
        return self._inner.predict(rows, outputs)

    def draws(self) -> bool:
        """Whether the inner model does."""
        return self._inner.draws()

    def _described(self) -> Description:
        """By the example, by itself, or by a made-up row of the signature: the first that goes."""
        tries: list[pd.DataFrame | None] = [None]
        if self._said.example is not None:
            tries.insert(0, self._said.example)
        if self._said.columns is not None:
            tries.append(pd.DataFrame({one.name: [one.example] for one in self._said.columns}))
        refusals = []
        for rows in tries:
            try:
                return self._inner.describe(rows)
            except Rejected as why:
                refusals.append(why)
        raise refusals[0]

    def _named(self, signature: Signature) -> Signature:
        """Of values that counted by their order, the names are only told: a matrix stays the same."""
        columns = self._said.columns
        unnamed = not signature.named and signature.layout is Layout.MATRIX
        if columns is None or not unnamed or len(columns) != len(signature.inputs):
            return signature
        inputs = [
            msgspec.structs.replace(one, name=column.name)
            for one, column in zip(signature.inputs, columns, strict=True)
        ]
        return msgspec.structs.replace(signature, inputs=inputs, named=True)


def _read(artifact: Artifact) -> MlflowFolder:
    folder = mlflow_folder(artifact)
    if folder is None:
        raise TypeError("asked of an artifact that was not recognised")
    return read_folder(folder)


def _file_of(said: MlflowFolder, flavor: str) -> str | None:
    path = said.flavors[flavor].get(_FLAVORS[flavor][0])
    if not isinstance(path, str):
        return None
    candidates = (path, *(f"{path}/{name}" for name in _IN_FOLDER))
    return next((name for name in candidates if name in said.folder.names), None)


def _saved_model(said: MlflowFolder) -> str | None:
    """The folder of a SavedModel inside."""
    flavor = said.flavors.get("tensorflow")
    if flavor is None or said.has_code:
        return None
    named = (flavor.get("saved_model_dir"), flavor.get("data"))
    paths = [path for one in named if isinstance(one, str) for path in (one, f"{one}/model")]
    return next((path for path in paths if f"{path}/{GRAPH}" in said.folder.names), None)
