"""Versions of libraries that a pickle tells, beside those that are installed."""

import importlib.metadata
import re
import sys
from collections.abc import Iterable

from shared.catalog.verdict import Library
from workers.host.reading.distributions import EVERYWHERE, distributions_of
from workers.host.reading.pickle_reading import PickleReading


def libraries_of(reading: PickleReading) -> dict[str, Library]:
    """The libraries that the pickle needs, by distribution, and Python."""
    told = {"scikit-learn": newest(reading.sklearn_versions), "numpy": _numpy_generation(reading)}
    names = sorted(distributions_of(_modules(reading)) | {"numpy"})
    libraries = {"python": Library(artifact=reading.python_version, installed=_python())}
    return libraries | {name: Library(artifact=told.get(name), installed=_installed(name)) for name in names}


def needs_of(reading: PickleReading) -> dict[str, str | None]:
    """Distributions beyond what every environment has, and scikit-learn where it is another than here."""
    needs: dict[str, str | None] = dict.fromkeys(
        sorted(distributions_of(_modules(reading)) - EVERYWHERE), None
    )
    version = newest(reading.sklearn_versions)
    if version is not None and version != _installed("scikit-learn"):
        needs["scikit-learn"] = version
    return needs


def newest(versions: Iterable[str]) -> str | None:
    """The highest of some versions; None where there are none."""
    return max(
        versions, key=lambda version: [int(part) for part in re.findall(r"\d+", version)], default=None
    )


def _modules(reading: PickleReading) -> set[str]:
    return {module for module, _ in reading.names} | reading.modules


def _numpy_generation(reading: PickleReading) -> str | None:
    """A pickle names no version of NumPy, but the place of its insides moved in 2.0."""
    modules = {module for module, _ in reading.names}
    if any(module.startswith("numpy._core") for module in modules):
        return "2"
    return "1" if any(module.startswith("numpy.core") for module in modules) else None


def _installed(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _python() -> str:
    return ".".join(map(str, sys.version_info[:3]))
