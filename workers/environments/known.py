"""What `known.toml` says: which distributions are installed for a file's sake, and in which versions."""

import platform
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

_TABLE = tomllib.loads(Path(__file__).with_name("known.toml").read_text())
_LIGHTER_HERE = sys.platform == "linux" and platform.machine() == "x86_64"

BASE: tuple[NormalizedName, ...] = tuple(map(canonicalize_name, _TABLE["base"]))
SCIKIT_LEARN = canonicalize_name("scikit-learn")
NUMPY = canonicalize_name("numpy")


def is_known(name: NormalizedName) -> bool:
    """Whether it may be installed because a file names it."""
    return name in BASE or name in _TABLE["newest"]


def newest_tried(name: NormalizedName) -> str | None:
    """The newest version that was tried; None for those of the base, which the platform's own caps."""
    found = _TABLE["newest"].get(name)
    return None if found is None else str(found)


def lighter(name: NormalizedName, version: Version | None) -> NormalizedName:
    """The same without code for graphics cards, where there is such a build."""
    found = _TABLE["lighter"].get(name)
    if found is None or not _LIGHTER_HERE or (version is not None and version < Version(found["since"])):
        return name
    return canonicalize_name(found["name"])


def limits_beside(versions: Mapping[NormalizedName, Version | None]) -> list[str]:
    """What other distributions may be, beside the versions of scikit-learn and NumPy that are among these."""
    limits: list[str] = []
    for name in (SCIKIT_LEARN, NUMPY):
        version = versions.get(name)
        if version is not None:
            since = [key for key in _TABLE[name] if Version(key).release <= version.release]
            limits += _TABLE[name][max(since, key=Version)]
    return limits
