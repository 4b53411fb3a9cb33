"""Who a host is: a user of its own where that can be had, with limits and files of its own."""

import ctypes
import os
import struct
import sysconfig
from typing import Literal

from workers.host.cell import kernel
from workers.host.cell.system_calls import machine, numbers
from workers.host.cell.trial import works

Kind = Literal["own user", "own user namespace", "shared user"]

# User ids that neither distributions, containers nor systemd hand out (systemd.io/UIDS-GIDS), one for each
# process id. Where a container maps fewer, those that systemd gives to services for the time they run.
_FIRST_OWN = 0x7000_0000
_FEW_FIRST, _FEW = 61_184, 4_336

_DAC_READ_SEARCH, _KILL, _SETGID, _SETUID = 2, 5, 6, 7
_CAPABILITY_VERSION = 0x2008_0522


def holds(*capabilities: int) -> bool:
    """Whether this process has all these rights of root's."""
    held = int(kernel.status("CapEff") or "0", 16)
    return all(held >> capability & 1 for capability in capabilities)


def available() -> Kind:
    """The best that hosts can have. A host that nobody may kill would be worse than one without a user."""
    if holds(_SETUID, _SETGID, _KILL) and works(lambda: _change_user(search=False)):
        return "own user"
    if os.getuid() == 0:  # root without its rights: the kernel counts none of its threads
        return "shared user"
    return "own user namespace" if works(lambda: kernel.unshare(kernel.CLONE_NEWUSER)) else "shared user"


def needs_to_search(kind: Kind) -> bool:
    """Whether another user could not reach the libraries: they lie under root's own folder, say."""
    return kind == "own user" and holds(_DAC_READ_SEARCH) and not works(_read_libraries_as_other)


def assume(kind: Kind, *, search: bool) -> None:
    """Be it from now on, without any right of root's.

    Args:
        search: keep the right to read what Landlock then allows, whoever it belongs to.

    Raises:
        OSError: it cannot be had.
    """
    if kind == "own user":
        _change_user(search=search)
    elif kind == "own user namespace":
        kernel.unshare(kernel.CLONE_NEWUSER)
    _keep_capabilities(1 << _DAC_READ_SEARCH if search and kind == "own user" else 0)


def user_of_host(kind: Kind) -> int:
    """The user that this process will be."""
    return _own_id() if kind == "own user" else os.getuid()


def _change_user(*, search: bool) -> None:
    own = _own_id()
    os.setgroups([])
    os.setresgid(own, own, own)
    if search:
        kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
    os.setresuid(own, own, own)


def _own_id() -> int:
    own = _FIRST_OWN + os.getpid()
    return own if _is_mapped(own) else _FEW_FIRST + os.getpid() % _FEW


def _is_mapped(user: int) -> bool:
    with open("/proc/self/uid_map") as lines:  # noqa: PTH123  no pathlib between fork and door
        ranges = [tuple(map(int, line.split())) for line in lines]
    return any(first <= user < first + count for first, _, count in ranges)


def _keep_capabilities(kept: int) -> None:
    header = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION, 0), 8)
    data = ctypes.create_string_buffer(struct.pack("<6I", kept, kept, 0, 0, 0, 0), 24)
    kernel.call(numbers(machine())["capset"], header, data)


def _read_libraries_as_other() -> None:
    _change_user(search=False)
    with open(os.__file__, "rb") as library:  # noqa: PTH123  no pathlib between fork and door
        library.read(1)
    os.listdir(sysconfig.get_path("purelib"))  # noqa: PTH208  likewise
