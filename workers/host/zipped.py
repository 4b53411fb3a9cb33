"""A folder that was uploaded as a zip archive: looked into without unpacking, unpacked within bounds."""

import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from workers.host.artifact import Artifact
from workers.host.error_text import shown
from workers.host.rejection import Rejected, truncated
from workers.host.scratch import scratch

_MAGIC = b"PK\x03\x04"
_MOST_FILES = 10_000
_MOST_BYTES = 8 * 1024**3  # unpacked
_MOST_TEXT_BYTES = 64 * 1024**2  # of a file that is read whole
_FREE_BYTES = 256 * 1024**2  # unpacked, whatever the ratio
_MOST_RATIO = 200
_ENCRYPTED = 0x1
_LINK = 0xA000  # in the file type of a mode
_REMEDY = "Zip the folder again, with nothing in it but the model's own files."
_LITTER = ("__MACOSX/", ".DS_Store")  # what a Mac adds
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


class ZippedFolder:
    """A folder in a zip archive.

    Attributes:
        names: of its files, relative to it.
    """

    def __init__(self, artifact: Artifact, archive: zipfile.ZipFile, root: str = "") -> None:
        self._artifact, self._archive, self._root = artifact, archive, root
        self._entries = {
            entry.filename.removeprefix(root): entry
            for entry in archive.infolist()
            if entry.filename.startswith(root) and not entry.is_dir() and not _is_litter(entry.filename)
        }
        self.names = frozenset(self._entries)

    def inside(self, folder: str) -> "ZippedFolder":
        """A folder in it; one that has no files where there is none of that name."""
        return ZippedFolder(self._artifact, self._archive, f"{self._root}{folder.strip('/')}/")

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            Rejected: it is too large to be what it is read for, or cannot be read.
        """
        entry = self._entries[name]
        if entry.file_size > _MOST_TEXT_BYTES:
            raise _unfit(f"the file {shown(name)!r} is too large")
        with self._readable(name):
            return self._archive.read(entry)

    def open_file(self, name: str) -> Artifact:
        """A file of it as an artifact of its own, copied to where only this process sees it."""
        self._check([self._entries[name]])
        with tempfile.TemporaryFile(dir=scratch()) as copy:
            with self._readable(name), self._archive.open(self._entries[name]) as packed:
                shutil.copyfileobj(packed, copy, 1 << 20)
            copy.flush()
            os.lseek(copy.fileno(), 0, os.SEEK_SET)
            return Artifact(os.dup(copy.fileno()))

    def unpack(self, into: Path) -> Path:
        """Write its files under `into`.

        Raises:
            Rejected: a name that leads elsewhere, a link, too many files or bytes.
        """
        self._check(list(self._entries.values()))
        for name, entry in self._entries.items():
            target = into / _safe(name)
            with self._readable(name), self._archive.open(entry) as packed:
                _write(packed, target)
        return into

    def _check(self, entries: list[zipfile.ZipInfo]) -> None:
        unpacked = sum(entry.file_size for entry in entries)
        packed = sum(entry.compress_size for entry in entries)
        if unpacked > _MOST_BYTES or unpacked > max(_FREE_BYTES, packed * _MOST_RATIO):
            raise _unfit(f"it unpacks to {unpacked:,} bytes")
        for entry in entries:
            if entry.flag_bits & _ENCRYPTED:
                raise _unfit("it is encrypted")
            if (entry.external_attr >> 16) & 0xF000 == _LINK:
                raise _unfit(f"{shown(entry.filename)!r} is a link")

    @contextmanager
    def _readable(self, name: str) -> Iterator[None]:
        try:
            yield
        except (*_BROKEN, RuntimeError) as error:  # a RuntimeError: it is encrypted
            raise _unfit(f"the file {shown(name)!r} in it cannot be read") from error
        finally:
            self._artifact.file.seek(0)  # where others expect it


def opened(artifact: Artifact) -> ZippedFolder | None:
    """What is in the artifact, where it is a zip archive.

    Raises:
        Rejected: it breaks off, or holds too many files.
    """
    if not artifact.head.startswith(_MAGIC):
        return None
    try:
        archive = zipfile.ZipFile(artifact.file)
    except _BROKEN as error:
        raise truncated() from error
    finally:
        artifact.file.seek(0)
    if len(archive.infolist()) > _MOST_FILES:
        raise _unfit(f"it holds more than {_MOST_FILES:,} files")
    return ZippedFolder(artifact, archive)


def folder_with(artifact: Artifact, marker: str) -> ZippedFolder | None:
    """The folder that holds a file of that name: the archive's root, or the one folder in it that does."""
    whole = opened(artifact)
    if whole is None or marker in whole.names:
        return whole
    tail = f"/{marker}"
    holders = [name.removesuffix(tail) for name in whole.names if name.endswith(tail)]
    inner = [holder for holder in holders if "/" not in holder]
    return whole.inside(inner[0]) if len(inner) == 1 else None


def _is_litter(name: str) -> bool:
    return name.startswith(_LITTER[0]) or name.endswith(_LITTER[1])


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise _unfit(f"the name {shown(name)!r} leads out of the folder")
    return path


def _write(packed: IO[bytes], target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _unfit("two files of it have one name") from error


def _unfit(why: str) -> Rejected:
    return Rejected("archive_unfit", f"The zip archive cannot be opened: {why}.", _REMEDY)
