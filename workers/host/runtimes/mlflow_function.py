"""MLflow's python_function: whatever only MLflow itself knows how to load."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from shared.catalog.verdict import Column
from workers.host.error_text import describe
from workers.host.rejection import Rejected
from workers.host.rows import Tensors
from workers.host.runtimes.library import library, made_with
from workers.host.runtimes.library_model import Answers, Facts
from workers.host.runtimes.mlflow_folder import PYFUNC, MlflowFolder
from workers.host.runtimes.row_answers import by_name
from workers.host.runtimes.runtime import LoadedModel
from workers.host.runtimes.table_model import Declared, TableModel
from workers.host.runtimes.tensor_model import TensorModel
from workers.host.zipped import room

_FORMAT = "mlflow"
_REMEDY = (
    "Save it with what it takes: `mlflow.pyfunc.save_model(..., signature=infer_signature(rows, answers), "
    "input_example=rows)`; or upload it with a `sample`."
)


def function_needs(said: MlflowFolder) -> dict[str, str | None]:
    """MLflow, in the version that wrote the folder.

    Raises:
        Rejected: the folder has no function for Python.
    """
    if PYFUNC not in said.flavors:
        raise Rejected(
            "flavor_unknown",
            f"The folder has no flavor `{PYFUNC}`, only {', '.join(sorted(said.flavors)) or 'none'}.",
            "Save the model with a flavor that Python can call.",
        )
    return {"mlflow": said.version}


def function_model(said: MlflowFolder) -> LoadedModel:
    """The folder, loaded by MLflow."""
    function_needs(said)
    mlflow, pyfunc = library("mlflow"), library("mlflow.pyfunc")
    place = said.folder.unpack(room() / "mlflow")
    try:
        function = pyfunc.load_model(str(place), suppress_warnings=True)
    except Exception as error:
        raise Rejected(
            "load_failed",
            f"MLflow cannot load the model: {describe(error)}.",
            f"It was saved with MLflow {said.version or '?'} and opened with {mlflow.__version__}; "
            "see that `requirements.txt` in the folder names all that it imports.",
        ) from error
    facts = Facts(
        format=_FORMAT,
        estimator=str(said.flavors[PYFUNC].get("loader_module", "mlflow.pyfunc")),
        libraries=made_with("mlflow", said.version, mlflow),
    )
    return _of_tensors(function, said, facts) if said.tensors else _of_tables(function, said, facts)


def _of_tables(function: Any, said: MlflowFolder, facts: Facts) -> TableModel:
    def call(table: pd.DataFrame, columns: Sequence[Column]) -> Answers:
        names = [column.name for column in columns]
        dtypes = {name: said.dtypes[name] for name in names if name in said.dtypes}
        return by_name(function.predict(table[names].astype(dtypes)))

    declared = Declared(columns=said.columns, rows=said.example, remedy=_REMEDY)
    return TableModel(facts, call, function, declared=declared)


def _of_tensors(function: Any, said: MlflowFolder, facts: Facts) -> TensorModel:
    inputs = said.tensors or []
    unnamed = len(inputs) == 1

    def call(tensors: Tensors) -> Tensors:
        given: Any = tensors[inputs[0].name] if unnamed else tensors
        answer = function.predict(given)
        if isinstance(answer, dict):
            return {str(name): np.asarray(value) for name, value in answer.items()}
        return by_name(answer)

    return TensorModel(facts, call, function, inputs=inputs)
