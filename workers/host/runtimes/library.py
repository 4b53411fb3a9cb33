"""Imports the library that a family of files is opened by, which not every environment has."""

import importlib
from typing import Any

from workers.host.error_text import describe
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
            f"Ask the operator for {name}, or save a model that needs scikit-learn only.",
        ) from error
    except ImportError as error:
        raise Rejected(
            "library_missing",
            f"The library {name!r} is installed here but cannot be loaded: {describe(error)}.",
            f"Ask the operator to install {name} anew.",
        ) from error
