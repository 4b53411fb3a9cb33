"""A folder that one host alone may write to: for libraries that read folders, and archives to unpack.

It is bounded, and gone when its host is. A file system of its own in memory where one can be mounted;
otherwise a folder, which the template watches. `tempfile` makes its files there.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from workers.host.cell import kernel
from workers.host.cell.trial import works

Kind = Literal["own file system", "watched folder", "none"]

_FILES = 4096
_DEPTH = 16
_NOSUID, _NODEV, _NOEXEC = 0x2, 0x4, 0x8
_DETACH = 0x2

_own: Path | None = None


def folder() -> Path | None:
    """The folder of this host; None where there is none to be had. Remove from it what is read once."""
    return _own


def available(base: str, *, owner: Callable[[], int], become: Callable[[], None]) -> Kind:
    """The best that can be had below `base`, an empty folder.

    Args:
        owner: who a host made by this process would be, and `become` becomes that: it must be able to write.
    """
    kinds: tuple[Kind, ...] = ("own file system", "watched folder")
    for kind in kinds:
        usable = works(partial(_try, kind, base, owner, become))
        remove_all(base)
        if usable:
            return kind
    return "none"


def make(kind: Kind, base: str, *, size_bytes: int, owner: int) -> str:
    """The folder of this process, which becomes `owner` later.

    Raises:
        OSError: it cannot be made.
    """
    path = _path(base, os.getpid())
    os.mkdir(path, 0o700)  # noqa: PTH102  no pathlib between fork and door
    if kind == "own file system":
        data = f"size={size_bytes},nr_inodes={_FILES},mode=0700"
        kernel.mount("tmpfs", path, flags=_NOSUID | _NODEV | _NOEXEC, data=data)
    if os.getuid() != owner:
        os.chown(path, owner, owner)
    return path


def use(path: str) -> None:
    """Have libraries write their temporary files there, and take it for a home: MLflow must have one."""
    global _own  # noqa: PLW0603  a process has one
    _own = Path(path)
    tempfile.tempdir = os.environ["TMPDIR"] = os.environ["HOME"] = path


def remove(base: str, pid: int) -> None:
    """Remove the folder of a process that has ended."""
    path = _path(base, pid)
    with contextlib.suppress(OSError):  # a folder
        kernel.unmount(path, flags=_DETACH)
    with contextlib.suppress(RecursionError):
        shutil.rmtree(path, ignore_errors=True)


def remove_all(base: str) -> None:
    """Remove the folders of all processes."""
    for name in os.listdir(base):  # noqa: PTH208  before the imports are done
        remove(base, int(name))


def is_too_full(base: str, pid: int, *, size_bytes: int) -> bool:
    """Whether a watched folder holds more than it may: bytes, files, or folders in folders."""
    used = files = 0
    waiting = [(_path(base, pid), 0)]
    while waiting:
        path, depth = waiting.pop()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as entries:
            for entry in entries:
                used += entry.stat(follow_symlinks=False).st_size
                files += 1
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, depth + 1))
                if used > size_bytes or files > _FILES or depth > _DEPTH:
                    return True
    return False


def _path(base: str, pid: int) -> str:
    return f"{base}/{pid}"


def _try(kind: Kind, base: str, owner: Callable[[], int], become: Callable[[], None]) -> None:
    path = make(kind, base, size_bytes=1 << 20, owner=owner())
    become()
    with open(f"{path}/file", "wb") as file:  # noqa: PTH123  no pathlib before the imports are done
        file.write(b"x")
