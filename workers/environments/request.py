"""What an environment is asked to hold."""

import hashlib
import platform
import sys

import msgspec

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PLATFORM = f"{sys.platform}-{platform.machine()}-{platform.libc_ver()[0] or 'other'}"


class EnvironmentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Requirements in the form of a requirements file, from which the exact versions are resolved.

    Attributes:
        known: distributions that the platform vouches for: their names are in `known.toml`.
        foreign: those that only the model's owner named.
        limits: on versions of whatever comes along, asked for or not.
    """

    known: list[str]
    foreign: list[str] = []
    limits: list[str] = []
    python: str = PYTHON
    platform: str = PLATFORM

    @property
    def digest(self) -> str:
        """The same for the same request on a machine of the same kind."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:32]
