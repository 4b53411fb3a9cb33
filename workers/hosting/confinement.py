"""Whether cells hold on this machine: found out by trying to get out of one."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from workers.host.cell.layers import Layers
from workers.hosting.errors import HostDied
from workers.hosting.process import HostProcess

_ATTEMPT_TIMEOUT_S = 30.0
_FULL_LANDLOCK = 6  # from here on it fences signals and abstract sockets in, too


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """What cells are made of here, and what got out of one.

    Attributes:
        escapes: in words that go on from "a model could …"; empty where the cell holds.
    """

    layers: Layers
    escapes: list[str]

    @property
    def holds(self) -> bool:
        """Whether models that run code of their own may be opened."""
        return not self.escapes

    @property
    def tier(self) -> str:
        """In one word, for logs: see docs/how-to/check-the-sandbox.md."""
        if not self.holds:
            return "none"
        if not self.layers.landlock:
            return "no-files"
        if self.layers.identity == "shared user" or self.layers.landlock < _FULL_LANDLOCK:
            return "core"
        return "full"


def examine(spawn: Callable[[], HostProcess], layers: Layers, *, memory_bytes: int) -> Confinement:
    """Let hosts without a model try to get out, each attempt for real.

    Args:
        memory_bytes: that each host may have.

    Raises:
        TemplateFailed: there are no hosts.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # whatever keeps a host out, it must not be this
        secret = Path(folder) / "secret"
        secret.write_text("known to the worker only")
        secret.chmod(0o644)
        escapes = _attempt(spawn(), str(secret), 2 * memory_bytes)
    return Confinement(layers=layers, escapes=escapes + _trace(spawn()))


def _attempt(host: HostProcess, secret: str, memory_bytes: int) -> list[str]:
    try:
        return host.attempt(secret, memory_bytes=memory_bytes, timeout_s=_ATTEMPT_TIMEOUT_S)
    except HostDied as death:
        return [f"run, since no attempt could be made: its process {death.how}"]
    finally:
        host.kill()


def _trace(host: HostProcess) -> list[str]:
    """A filter ends whoever tries: that is what is expected."""
    try:
        return host.attempt(None, memory_bytes=0, timeout_s=_ATTEMPT_TIMEOUT_S)
    except HostDied as death:
        return [] if death.forbidden_call else [f"run, since its process {death.how}"]
    finally:
        host.kill()
