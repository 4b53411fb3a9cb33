"""What the platform's own environment holds, which is the worker's too."""

import sys
from functools import cache
from importlib.metadata import distributions

import msgspec
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

PYTHON_VERSION = ".".join(map(str, sys.version_info[:3]))
MAIN = tuple(map(canonicalize_name, ("scikit-learn", "numpy", "pandas")))  # told of every environment


class OwnEnvironment(msgspec.Struct, frozen=True):
    """The versions of all that is installed."""

    versions: dict[NormalizedName, Version]

    def packages(self, names: frozenset[NormalizedName]) -> dict[str, str]:
        """Versions of Python, of the main libraries and of those named, as far as they are there."""
        told = [*MAIN, *sorted(names - set(MAIN))]
        return {"python": PYTHON_VERSION} | {
            name: str(self.versions[name]) for name in told if name in self.versions
        }


@cache
def own_environment() -> OwnEnvironment:
    """The one that this process runs in."""
    found: dict[NormalizedName, Version] = {}
    for distribution in distributions():
        try:
            found[canonicalize_name(distribution.name)] = Version(distribution.version)
        except (InvalidVersion, TypeError):  # a folder that only looks like one
            continue
    return OwnEnvironment(found)
