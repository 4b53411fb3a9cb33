"""A folder that one host alone may write to: for libraries that read folders, and archives to unpack.

It is bounded, and gone when its host is. A file system of its own in memory where one can be mounted;
otherwise a folder, which the template watches. `tempfile` makes its files there.
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

from workers.host.cell import kernel
from workers.host.cell.trial import works

Kind = Literal["own file system", "watched folder", "none"]

_FILES = 4096
_DEPTH = 16
_NOSUID, _NODEV, _NOEXEC = 0x2, 0x4, 0x8
_DETACH = 0x2
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW

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
    with contextlib.suppress(OSError):
        _empty(path)
        os.rmdir(path)  # noqa: PTH106  no pathlib before the imports are done


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
        try:
            for size, inner in _entries(path):
                used += size
                files += 1
                if inner:
                    waiting.append((inner, depth + 1))
        except OSError:  # what cannot be looked into is not to be there
            return True
        if used > size_bytes or files > _FILES or depth > _DEPTH:
            return True
    return False


def _entries(path: str) -> list[tuple[int, str | None]]:
    """How many bytes each entry of a folder has, and the way to it where it is one; no more than matter."""
    found: list[tuple[int, str | None]] = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as entries:
        for entry in islice(entries, _FILES + 1):
            size = 0
            with contextlib.suppress(FileNotFoundError):  # it has just gone
                size = entry.stat(follow_symlinks=False).st_size
            found.append((size, entry.path if entry.is_dir(follow_symlinks=False) else None))
    return found


def _empty(path: str) -> None:
    """Remove all that is in a folder, however deep it lies, and whatever its modes forbid.

    Folders in folders are brought up before they are emptied, so that no way is ever long.
    """
    top = os.open(path, _FOLDER)
    try:
        while names := os.listdir(top):  # noqa: PTH208  before the imports are done
            for name in names:
                if not _unlinked(top, name):
                    _bring_up(top, name)
    finally:
        os.close(top)


def _bring_up(top: int, name: str) -> None:
    """Remove a folder in `top`, after its own files; folders in it move to `top`, by names nobody guessed."""
    folder = os.open(name, _FOLDER, dir_fd=top)
    try:
        for inner in os.listdir(folder):  # noqa: PTH208  likewise
            if not _unlinked(folder, inner):
                os.rename(inner, os.urandom(16).hex(), src_dir_fd=folder, dst_dir_fd=top)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)


def _unlinked(folder: int, name: str) -> bool:
    """Remove a file; a folder is only opened to us."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=folder)
        return True
    os.chmod(name, 0o700, dir_fd=folder)
    return False


def _path(base: str, pid: int) -> str:
    return f"{base}/{pid}"


def _try(kind: Kind, base: str, owner: Callable[[], int], become: Callable[[], None]) -> None:
    path = make(kind, base, size_bytes=1 << 20, owner=owner())
    become()
    with open(f"{path}/file", "wb") as file:  # noqa: PTH123  no pathlib before the imports are done
        file.write(b"x")
