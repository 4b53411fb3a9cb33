"""Landlock: which files a process may open, as it says itself and cannot take back.

Without privileges. See landlock(7) and linux/landlock.h; what an older kernel does not know is left out.
"""

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from workers.host.cell import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1

READ_FILE, READ_DIR = 1 << 2, 1 << 3
READ = READ_FILE | READ_DIR
_OF_FILES = 1 << 0 | 1 << 1 | READ_FILE | 1 << 14 | 1 << 15  # execute, write, read, truncate, ioctl
WRITE = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 13 | 1 << 14  # into files; make, remove, move them
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many kinds of access each version knows
_TCP = 0b11  # bind and connect, from version 4 on
_SCOPES = 0b11  # abstract sockets and signals of others, from version 6 on
_TCP_FROM, _SCOPES_FROM = 4, 6


def version() -> int:
    """The newest that the kernel knows; 0 where it is off."""
    try:
        return kernel.call(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def open_paths(paths: Iterable[str]) -> list[int]:
    """Descriptors of those that exist, for `restrict`."""
    opened = []
    for path in dict.fromkeys(map(os.path.realpath, paths)):
        with contextlib.suppress(OSError):
            opened.append(os.open(path, os.O_PATH | os.O_CLOEXEC))
    return opened


def restrict(version: int, *, readable: Iterable[int], writable: Iterable[int] = ()) -> None:
    """Allow this process nothing but what lies at or under these descriptors; no TCP, no signals to others.

    Raises:
        OSError: the kernel refuses.
    """
    handled = (1 << _RIGHTS[min(version, max(_RIGHTS))]) - 1
    ruleset = _ruleset(version, handled)
    try:
        for path in readable:
            _allow(ruleset, path, READ)
        for path in writable:
            _allow(ruleset, path, (READ | WRITE) & handled)
        kernel.call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _ruleset(version: int, handled: int) -> int:
    tcp = _TCP if version >= _TCP_FROM else 0
    scopes = _SCOPES if version >= _SCOPES_FROM else 0
    size = 8 if version < _TCP_FROM else 16 if version < _SCOPES_FROM else 24
    attributes = struct.pack("<QQQ", handled, tcp, scopes)
    return kernel.call(_CREATE_RULESET, ctypes.create_string_buffer(attributes, 24), size, 0)


def _allow(ruleset: int, path: int, rights: int) -> None:
    if not stat.S_ISDIR(os.fstat(path).st_mode):
        rights &= _OF_FILES
    rule = ctypes.create_string_buffer(struct.pack("<Qi", rights, path), 12)
    kernel.call(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
