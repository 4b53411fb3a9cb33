"""The library that a family of files is opened by, which not every environment has."""

import importlib
import sys
from typing import Any

from shared.catalog.verdict import Library
from workers.host.error_text import describe, shown
from workers.host.rejection import Rejected


def library(module: str) -> Any:
    """The module.

    Raises:
        Rejected: it is not installed, or does not work, in this environment.
    """
    name = module.split(".", maxsplit=1)[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise Rejected(
            "library_missing",
            f"The model needs the library {name!r}, which is not installed here.",
            f"Ask the operator to let the platform build environments with {name}, or save it as ONNX.",
        ) from error
    except Exception as error:
        raise Rejected(
            "library_missing",
            f"The library {name!r} is installed here but cannot be loaded: {describe(error)}.",
            f"Ask the operator to install {name} anew.",
        ) from error


def made_with(name: str, version: str | None, module: Any) -> dict[str, Library]:
    """A library for the verdict, beside Python: its version in the file, and here."""
    return {
        "python": installed_python(),
        name: Library(artifact=version and shown(version), installed=str(module.__version__)),
    }


def unreadable(what: str, error: Exception, *, module: Any, version: str | None, remedy: str) -> Rejected:
    """The library does not read its own file, most often one of another version."""
    made = f"{module.__name__} {shown(version)}" if version else f"another version of {module.__name__}"
    return Rejected(
        "load_failed",
        f"{what} cannot be loaded: {describe(error)}.",
        f"It was saved with {made} and opened with {module.__version__}. {remedy}",
    )


def installed_python() -> Library:
    """Python itself, of which few files tell the version."""
    return Library(artifact=None, installed=".".join(map(str, sys.version_info[:3])))
