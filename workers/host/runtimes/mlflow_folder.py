"""What a model folder of MLflow says of itself, read without MLflow."""

import json
import re
from typing import Any

import msgspec
import pandas as pd

from shared.catalog.verdict import Column, Datatype
from workers.host.artifact import Artifact
from workers.host.error_text import shown
from workers.host.rejection import Rejected
from workers.host.runtimes.plain_yaml import NotPlainYaml, read_yaml
from workers.host.runtimes.requirements_file import requirement_lines
from workers.host.runtimes.table_model import column
from workers.host.runtimes.tensors import TensorInput
from workers.host.zipped import ZippedFolder, folder_with

MLMODEL = "MLmodel"
PYFUNC = "python_function"
_MOST_BYTES = 1024 * 1024
_MOST_EXAMPLES = 200
_EXAMPLE = "input_example.json"
_REQUIREMENTS = "requirements.txt"
_MLFLOW = re.compile(r"mlflow(-skinny)?(?![\w-])", re.IGNORECASE)
_REMEDY = "Save the model again with `mlflow.<flavor>.save_model(model, 'model')`, and zip that folder."

# By MLflow's name: ours, and numpy's, to which MLflow holds a column.
_TYPES = {
    "double": (Datatype.FP64, "float64"),
    "float": (Datatype.FP64, "float32"),
    "long": (Datatype.INT64, "int64"),
    "integer": (Datatype.INT64, "int32"),
    "boolean": (Datatype.BOOL, "bool"),
    "string": (Datatype.BYTES, "object"),
}


class MlflowFolder(msgspec.Struct, frozen=True, kw_only=True):
    """The folder, and what is known of it.

    Attributes:
        columns: of its signature, where that is of columns; `dtypes` are numpy's of the same.
        tensors: of its signature, where that is of tensors.
        example: the rows that it was saved with.
        requirements: without MLflow itself.
    """

    folder: ZippedFolder
    version: str | None
    flavors: dict[str, dict[str, Any]]
    columns: list[Column] | None
    dtypes: dict[str, str]
    tensors: list[TensorInput] | None
    example: pd.DataFrame | None
    requirements: list[str]

    @property
    def has_code(self) -> bool:
        """Modules came with it, which only MLflow knows how to import."""
        return any(flavor.get("code") for flavor in self.flavors.values())


def mlflow_folder(artifact: Artifact) -> ZippedFolder | None:
    """The folder in a zip archive that holds an `MLmodel`."""
    return folder_with(artifact, MLMODEL)


def read_folder(folder: ZippedFolder) -> MlflowFolder:
    """All that it says.

    Raises:
        Rejected: its `MLmodel` or its requirements are not understood.
    """
    said = _mlmodel(folder)
    flavors = {name: flavor for name, flavor in said["flavors"].items() if isinstance(flavor, dict)}
    columns, dtypes, tensors = _inputs(said.get("signature"))
    return MlflowFolder(
        folder=folder,
        version=_version(said.get("mlflow_version")),
        flavors=flavors,
        columns=columns,
        dtypes=dtypes,
        tensors=tensors,
        example=_example(folder.read(_EXAMPLE)) if _EXAMPLE in folder.names else None,
        requirements=_requirements(folder),
    )


def _mlmodel(folder: ZippedFolder) -> dict[str, Any]:
    content = folder.read(MLMODEL)
    try:
        said = read_yaml(content[:_MOST_BYTES].decode())
    except (NotPlainYaml, UnicodeDecodeError, RecursionError) as error:
        raise _unfit(shown(str(error))) from error
    if not isinstance(said, dict) or not isinstance(said.get("flavors"), dict):
        raise _unfit("it names no flavors")
    return said


def _version(said: Any) -> str | None:
    return said if isinstance(said, str) and re.fullmatch(r"\d+(\.\w+)*", said) else None


def _requirements(folder: ZippedFolder) -> list[str]:
    if _REQUIREMENTS not in folder.names:
        return []
    lines = requirement_lines(folder.read(_REQUIREMENTS))
    return [line for line in lines if not _MLFLOW.match(line)]


def _inputs(signature: Any) -> tuple[list[Column] | None, dict[str, str], list[TensorInput] | None]:
    """Columns, their dtypes, tensors: as far as there are any that can be served."""
    said = signature.get("inputs") if isinstance(signature, dict) else None
    try:
        inputs = msgspec.convert(json.loads(said or "[]"), list[dict[str, Any]])
    except (ValueError, TypeError, RecursionError) as error:
        raise _unfit("its signature is not JSON") from error
    if inputs and all(one.get("type") == "tensor" for one in inputs):
        return None, {}, _tensors(inputs)
    if not inputs or any(one.get("type") not in _TYPES or "name" not in one for one in inputs):
        return None, {}, None
    types = {str(one["name"]): _TYPES[one["type"]] for one in inputs}
    columns = [column(name, datatype) for name, (datatype, _) in types.items()]
    return columns, {name: dtype for name, (_, dtype) in types.items()}, None


class _TensorSpec(msgspec.Struct, frozen=True):
    dtype: str
    shape: list[int]


def _tensors(inputs: list[dict[str, Any]]) -> list[TensorInput] | None:
    try:
        specs = [msgspec.convert(one.get("tensor-spec"), _TensorSpec) for one in inputs]
    except msgspec.ValidationError as error:
        raise _unfit("its signature has a tensor without a shape") from error
    return [
        TensorInput(
            name=str(one.get("name", "input")),
            dtype="object" if spec.dtype in ("str", "object") else spec.dtype,
            shape=None if min(spec.shape[1:], default=0) < 0 else tuple(spec.shape[1:]),
        )
        for one, spec in zip(inputs, specs, strict=True)
    ]


def _example(content: bytes) -> pd.DataFrame | None:
    """The rows of an example; None where they are no table."""
    try:
        said: Any = json.loads(content)
        if isinstance(said, dict):
            said = said.get("dataframe_split", said)
        if isinstance(said, dict) and "data" in said:
            table = pd.DataFrame(said["data"], columns=said.get("columns"))
        elif isinstance(said, dict) and "inputs" in said:
            table = pd.DataFrame(said["inputs"]).add_prefix("x")
        else:
            table = pd.DataFrame(said if isinstance(said, list) else None)
    except (ValueError, TypeError, RecursionError):
        return None
    return None if table.empty else table.head(_MOST_EXAMPLES).rename(columns=str)


def _unfit(why: str) -> Rejected:
    return Rejected("mlmodel_unfit", f"The `{MLMODEL}` in the folder is not understood: {why}.", _REMEDY)
