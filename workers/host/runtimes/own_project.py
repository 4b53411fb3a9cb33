"""What an author's own folder says of itself: where its class is, what it takes, what it needs."""

import tomllib
from typing import Annotated, Literal

import msgspec
import pandas as pd

from shared.catalog.verdict import Column, Datatype
from workers.host.artifact import Artifact
from workers.host.error_text import shown
from workers.host.rejection import Rejected
from workers.host.runtimes.requirements_file import requirement_lines
from workers.host.runtimes.table_model import column
from workers.host.zipped import ZippedFolder, folder_with

TOML, JSON, CODE, EXAMPLE, REQUIREMENTS = (
    "modelyard.toml",
    "modelyard.json",
    "model.py",
    "example.json",
    "requirements.txt",
)
_MOST_EXAMPLES = 200
_Row = dict[str, str | int | float | bool | None]

Kind = Literal["number", "integer", "text", "boolean"]
_DATATYPES: dict[Kind, Datatype] = {
    "number": Datatype.FP64,
    "integer": Datatype.INT64,
    "text": Datatype.BYTES,
    "boolean": Datatype.BOOL,
}


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`modelyard.toml` or `modelyard.json`.

    Attributes:
        entry: `module` or `module:Class`.
        inputs: types by column.
        outputs: types by name; the main one is `label`.
    """

    entry: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][\w.]*(:[A-Za-z_]\w*)?$")] = "model"
    inputs: dict[str, Kind] = {}
    outputs: dict[str, Kind] = {}


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """The folder, and what is known of it without running anything."""

    folder: ZippedFolder
    declaration: Declaration
    example: pd.DataFrame | None
    requirements: list[str]


def project_folder(artifact: Artifact) -> ZippedFolder | None:
    """The folder in a zip archive that holds a declaration, or a `model.py`."""
    return next((found for name in (TOML, JSON, CODE) if (found := folder_with(artifact, name))), None)


def read_project(folder: ZippedFolder) -> Project:
    """All that it says.

    Raises:
        Rejected: one of its files is not understood, or the module is not there.
    """
    declaration = _declaration(folder)
    path = declaration.entry.partition(":")[0].replace(".", "/")
    if not folder.names & {f"{path}.py", f"{path}/__init__.py"}:
        raise _unfit("The folder", f"has no module {shown(path)}.py, which `entry` names")
    return Project(
        folder=folder,
        declaration=declaration,
        example=_example(folder.read(EXAMPLE)) if EXAMPLE in folder.names else None,
        requirements=requirement_lines(folder.read(REQUIREMENTS)) if REQUIREMENTS in folder.names else [],
    )


def declared_columns(inputs: dict[str, Kind]) -> list[Column] | None:
    """The columns that such a declaration means; None where it is empty."""
    return [column(name, _DATATYPES[kind]) for name, kind in inputs.items()] or None


def declared_outputs(outputs: dict[str, Kind]) -> dict[str, Datatype]:
    """Likewise of outputs."""
    return {name: _DATATYPES[kind] for name, kind in outputs.items()}


def inputs_of_class(inputs: object) -> dict[str, Kind]:
    """What a class says of its inputs in its attribute `inputs`."""
    try:
        return msgspec.convert(inputs, dict[str, Kind])
    except msgspec.ValidationError as error:
        raise _unfit("The class's `inputs`", f"is not understood: {shown(str(error))}") from error


def _declaration(folder: ZippedFolder) -> Declaration:
    name = next((name for name in (TOML, JSON) if name in folder.names), None)
    if name is None:
        return Declaration()
    content = folder.read(name)
    try:
        if name == JSON:
            return msgspec.json.decode(content, type=Declaration)
        return msgspec.convert(tomllib.loads(content.decode()), Declaration)
    except (ValueError, RecursionError) as error:  # of msgspec, of tomllib, of UTF-8
        raise _unfit(f"`{name}`", f"is not understood: {shown(str(error))}") from error


def _example(content: bytes) -> pd.DataFrame:
    try:
        rows = msgspec.json.decode(content, type=_Row | list[_Row])
    except (ValueError, RecursionError) as error:
        raise _unfit(f"`{EXAMPLE}`", f"is not a row, or a list of rows: {shown(str(error))}") from error
    table = pd.DataFrame(rows[:_MOST_EXAMPLES] if isinstance(rows, list) else [rows])
    if table.empty:
        raise _unfit(f"`{EXAMPLE}`", "has no rows")
    return table


def _unfit(what: str, how: str) -> Rejected:
    return Rejected(
        "declaration_unfit",
        f"{what} {how}.",
        'See the guide on serving your own Python class: `entry = "model:Model"`, and `inputs` of the kinds '
        "number, integer, text, boolean.",
    )
