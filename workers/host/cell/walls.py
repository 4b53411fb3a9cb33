"""What the template prepares once, so that a host only has to close the door behind it."""

import contextlib
import os

import msgspec

from workers.host.cell import identity, kernel, landlock, libraries, rules, scratch
from workers.host.cell.layers import Layers
from workers.host.cell.trial import works

_APART = kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS | kernel.CLONE_NEWNS


class Walls(msgspec.Struct, frozen=True):
    """The cell that every host of one template gets.

    Attributes:
        base: the folder in which each host's scratch folder lies.
        program: the filter of system calls, but for the host's process id.
        readable: descriptors of what may be read.
    """

    layers: Layers
    base: str
    program: bytes
    readable: list[int]


def build(base: str) -> Walls:
    """Find out what can be had here, and prepare it. This process leaves the network; it has one thread.

    Args:
        base: an empty folder, which everybody may enter.
    """
    kind = identity.available()
    namespaces = _leave_namespaces(kind)
    version, readable = _fence()
    room = _room(kind, base) if version else "none"
    program = rules.program(files=version > 0, scratch=room != "none") if rules.can_filter() else b""
    layers = Layers(
        filter=bool(program) and works(lambda: shut(program)),
        landlock=version,
        identity=kind,
        namespaces=namespaces,
        search=version > 0 and identity.needs_to_search(kind),
        scratch=room,
    )
    return Walls(layers, base, program, readable)


def shut(program: bytes) -> None:
    """Let the kernel filter this process's system calls from now on.

    Raises:
        OSError: it cannot.
    """
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.install_filter(program.replace(_word(rules.OWN_PID), _word(os.getpid())))


def _room(kind: identity.Kind, base: str) -> scratch.Kind:
    return scratch.available(
        base,
        owner=lambda: identity.user_of_host(kind),
        become=lambda: identity.assume(kind, search=False),
    )


def _fence() -> tuple[int, list[int]]:
    """The version of Landlock that works, and what is to be readable behind it."""
    version = landlock.version()
    readable = landlock.open_paths(libraries.readable_paths()) if version else []
    return (version if version and works(lambda: _restrict(version, readable)) else 0), readable


def _restrict(version: int, readable: list[int]) -> None:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    landlock.restrict(version, readable=readable)


def _leave_namespaces(kind: identity.Kind) -> bool:
    """Leave the network, and what else processes share, for good; whether that was allowed.

    Not by a user namespace where hosts get users of their own: there would be none in it.
    """
    flags = _APART if kind == "own user" else _APART | kernel.CLONE_NEWUSER
    if not works(lambda: _leave(flags)):
        return False
    _leave(flags)
    return True


def _leave(flags: int) -> None:
    user, group = os.getuid(), os.getgid()
    kernel.unshare(flags)
    kernel.keep_mounts_private()
    if not flags & kernel.CLONE_NEWUSER:
        return
    with contextlib.suppress(OSError):  # root without its rights may not; then nobody has a name there
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:  # noqa: PTH123  no pathlib before the imports are done
        file.write(text)


def _word(number: int) -> bytes:
    return number.to_bytes(4, "little")
