"""A class out of an author's own module: imported, made, called; its errors are told by its own lines."""

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from workers.host.error_text import describe, shown
from workers.host.rejection import Rejected

_CONTRACT = (
    "Write a class `Model` with `predict(self, rows)`, which takes a list of dicts and answers a list."
)
_ALONE = (
    "A model has no network, starts no programs, and sees no files but its own: put what it reads into the "
    "archive, and open it in the `folder` that `__init__` is given."
)


class ModelError(Exception):
    """The author's code raised; the text says where."""


def made(folder: Path, entry: str) -> Any:
    """An instance of the class, with what its `load` has read.

    Args:
        folder: where its files are; becomes the working folder and a place to import from.
        entry: `module` or `module:Class`.

    Raises:
        Rejected: there is no such class, or its code raises.
    """
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    module_name, _, class_name = entry.partition(":")
    if module_name.partition(".")[0] in sys.modules:
        raise Rejected(
            "module_name_taken",
            f"A module {shown(module_name)!r} is here already.",
            'Give the file another name, and say so in `modelyard.toml`: `entry = "my_model:Model"`.',
        )
    module = _within(folder, "importing it", lambda: importlib.import_module(module_name))
    kind = _class_in(module, class_name)
    instance = _within(folder, f"{kind.__name__}()", lambda: _called(kind, folder))
    if callable(getattr(instance, "load", None)):
        _within(folder, "load()", lambda: _called(instance.load, folder))
    if not callable(getattr(instance, "predict", None)):
        raise Rejected("class_without_predict", f"The class {kind.__name__} has no `predict`.", _CONTRACT)
    return instance


def told(error: BaseException, folder: Path) -> str:
    """An error by the author's own file and line, where one of them was on the way to it."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_relative(error.filename, folder) or 'a file'}, line {error.lineno}: {describe(error)}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [(name, frame.lineno) for frame in frames if (name := _relative(frame.filename, folder))]
    return f"{own[-1][0]}, line {own[-1][1]}: {describe(error)}" if own else describe(error)


def _within(folder: Path, doing: str, action: Callable[[], Any]) -> Any:
    try:
        return action()
    except ModuleNotFoundError as error:
        raise Rejected(
            "library_missing",
            f"The code needs the library {shown(str(error.name))!r}: {told(error, folder)}.",
            "Name it in a `requirements.txt` beside the code.",
        ) from error
    except BaseException as error:
        raise Rejected(
            "code_failed",
            f"The code fails at {doing}: {told(error, folder)}.",
            _remedy_of(error),
        ) from error


def _remedy_of(error: BaseException) -> str:
    """What works at home may fail in a cell."""
    if isinstance(error, OSError):  # among them all that urllib and sockets raise
        return _ALONE
    return "Mend it, and try it with the same libraries where you wrote it."


def _class_in(module: ModuleType, name: str) -> type:
    own = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and callable(getattr(value, "predict", None))
    }
    if name or "Model" in vars(module):
        found = vars(module).get(name or "Model")
        if isinstance(found, type):
            return found
    written_here = [kind for kind in own.values() if kind.__module__ == module.__name__]
    if not name and len(written_here) == 1:
        return written_here[0]
    wanted = f"no class {shown(name)!r}" if name else f"{len(written_here)} classes with a `predict`"
    raise Rejected("class_missing", f"The module {shown(module.__name__)!r} has {wanted}.", _CONTRACT)


def _called(function: Callable[..., Any], folder: Path) -> Any:
    """With the folder, where it takes one argument; with nothing, where it takes none."""
    parameters = inspect.signature(function).parameters.values()
    named = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return function(folder) if named else function()


def _relative(filename: str, folder: Path) -> str | None:
    try:
        return Path(filename).resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return None
