"""From a request to exact versions with hashes, by which the same environment is built everywhere."""

import hashlib
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from workers.environments import known
from workers.environments.request import PLATFORM, PYTHON, EnvironmentRequest
from workers.environments.uv import Uv, UvFailed

MAX_BYTES = 4 * 1024 * 1024  # of a lock
_OPTIONS = (
    "--generate-hashes",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-emit-find-links",
)
_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)
_TORCH = canonicalize_name("torch")


class EnvironmentLock(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an environment holds.

    Attributes:
        known: requirements with hashes: what the template of the environment's hosts may import.
        foreign: likewise, of what only the model's owner named, and what that needs: only hosts import it.
    """

    python: str = PYTHON
    platform: str = PLATFORM
    known: str
    foreign: str

    @property
    def id(self) -> str:
        """Names the environment by what is in it."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:32]

    @property
    def fits_here(self) -> bool:
        """Whether it was made for this Python on such a machine."""
        return (self.python, self.platform) == (PYTHON, PLATFORM)

    def versions(self) -> dict[NormalizedName, Version]:
        """Of all that is in it."""
        return _versions(self.known) | _versions(self.foreign)


def resolve(
    uv: Uv, request: EnvironmentRequest, *, offered: Mapping[NormalizedName, Version], timeout_s: float
) -> EnvironmentLock:
    """The exact versions that the request comes to.

    Raises:
        UvFailed: there are none, or the index cannot be reached.
    """
    compiler = _Compiler(
        uv, torch_index=not uv.leads_elsewhere and not _has_torch(request, offered), timeout_s=timeout_s
    )
    everything = _mended(
        compiler, request, compiler.compile([*request.known, *request.foreign], request.limits)
    )
    if not request.foreign:
        return EnvironmentLock(known=everything, foreign="")
    pins = [f"{name}=={version}" for name, version in _versions(everything).items()]
    ours = compiler.compile(request.known, pins)
    return EnvironmentLock(known=ours, foreign=_without(everything, _versions(ours)))


def _has_torch(request: EnvironmentRequest, offered: Mapping[NormalizedName, Version]) -> bool:
    """Whether the operator's folder has a wheel of PyTorch that will do."""
    asked = [found for found in map(Requirement, request.known) if canonicalize_name(found.name) == _TORCH]
    return _TORCH in offered and all(found.specifier.contains(offered[_TORCH]) for found in asked)


def _mended(compiler: "_Compiler", request: EnvironmentRequest, resolved: str) -> str:
    """The same, with what goes together where metadata did not say that it does not: see `known.toml`."""
    versions = _versions(resolved)
    broken = [line for line in known.limits_beside(versions) if _breaks(versions, Requirement(line))]
    if not broken:
        return resolved
    held = [f"{name}=={versions[name]}" for name in (known.SCIKIT_LEARN, known.NUMPY)]
    try:
        return compiler.compile([*request.known, *request.foreign], [*request.limits, *broken, *held])
    except UvFailed:  # the model's owner wants it so
        return resolved


class _Compiler:
    """Calls `uv pip compile`."""

    def __init__(self, uv: Uv, *, torch_index: bool, timeout_s: float) -> None:
        """Args: torch_index: take PyTorch from its makers' index of builds for CPUs."""
        self._uv, self._timeout_s = uv, timeout_s
        self._options = [*_OPTIONS, *(("--torch-backend", "cpu") if torch_index else ())]

    def compile(self, requirements: list[str], limits: list[str]) -> str:
        """A requirements file with exact versions and hashes."""
        with tempfile.TemporaryDirectory(prefix="environment-") as folder:
            asked, limited = Path(folder, "asked.in"), Path(folder, "limits.txt")
            asked.write_text("\n".join(requirements))
            limited.write_text("\n".join(limits))
            return self._uv.pip(
                "compile",
                str(asked),
                "--constraints",
                str(limited),
                "--python",
                sys.executable,
                "--only-binary",
                ":all:",
                *self._options,
                timeout_s=self._timeout_s,
            )


def _versions(lock: str) -> dict[NormalizedName, Version]:
    return {canonicalize_name(name): Version(version) for name, version in _PINNED.findall(lock)}


def _breaks(versions: Mapping[NormalizedName, Version], limit: Requirement) -> bool:
    version = versions.get(canonicalize_name(limit.name))
    return version is not None and not limit.specifier.contains(version, prereleases=True)


def _without(lock: str, names: Mapping[NormalizedName, Version]) -> str:
    """The lock less the entries of those names; an entry goes on in lines that are indented."""
    entries = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)
    return "".join(
        entry
        for entry in entries
        if (found := _PINNED.match(entry)) and canonicalize_name(found[1]) not in names
    )
