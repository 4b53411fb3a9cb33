"""A Python class of the author's own, in a zip archive with all that it reads."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from shared.catalog.verdict import Column, Contents, Datatype
from workers.host.artifact import Artifact
from workers.host.runtimes.library import installed_python
from workers.host.runtimes.library_model import Answers, Facts
from workers.host.runtimes.own_class import ModelError, made, told
from workers.host.runtimes.own_project import (
    Project,
    declared_columns,
    declared_outputs,
    inputs_of_class,
    project_folder,
    read_project,
)
from workers.host.runtimes.row_answers import by_name
from workers.host.runtimes.table_model import Declared, TableModel
from workers.host.zipped import ZippedFolder, room

_REMEDY = (
    "Say what the class takes: put an `example.json` with rows that it answers beside it, or `inputs` in "
    "`modelyard.toml`; or upload it with a `sample`."
)


class PythonRuntime:
    """Opens folders with a class that has `predict(rows)`: a list of dicts in, a list of answers out."""

    name = "python"

    def recognises(self, artifact: Artifact) -> bool:
        """Whether a zip archive holds `model.py`, or a declaration that names another module."""
        return project_folder(artifact) is not None

    def read(self, artifact: Artifact) -> Contents:
        """What its requirements file says."""
        project = read_project(_folder(artifact))
        return Contents(
            format="python", runtime=self.name, requirements=project.requirements, hides_code=True
        )

    def load(self, artifact: Artifact) -> TableModel:
        """Unpack it, import it, make the class."""
        project = read_project(_folder(artifact))
        place = project.folder.unpack(room() / "model")
        instance = made(place, project.declaration.entry)

        def call(table: pd.DataFrame, columns: Sequence[Column]) -> Answers:
            try:
                return by_name(instance.predict(_records(table, columns)))
            except BaseException as error:
                raise ModelError(told(error, place)) from error

        facts = Facts(
            format="python",
            estimator=f"{type(instance).__module__}.{type(instance).__qualname__}",
            libraries={"python": installed_python()},
        )
        return TableModel(facts, call, instance, declared=_declared(project, instance))


def _folder(artifact: Artifact) -> ZippedFolder:
    folder = project_folder(artifact)
    if folder is None:
        raise TypeError("asked of an artifact that was not recognised")
    return folder


def _declared(project: Project, instance: Any) -> Declared:
    inputs = project.declaration.inputs or inputs_of_class(getattr(instance, "inputs", {}))
    return Declared(
        columns=declared_columns(inputs),
        rows=project.example,
        outputs=declared_outputs(project.declaration.outputs),
        remedy=_REMEDY,
    )


def _records(table: pd.DataFrame, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Each row as a dict of Python's own values; what is missing is None."""
    names = [column.name for column in columns]
    values = [_plain(table[column.name].tolist(), column.datatype) for column in columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _plain(values: list[Any], datatype: Datatype) -> list[Any]:
    """Without NaN, which alone differs from itself; it also made floats of the integers beside it."""
    present = (None if value != value else value for value in values)  # noqa: PLR0124
    if datatype is Datatype.INT64:
        return [None if value is None else int(value) for value in present]
    return list(present)
