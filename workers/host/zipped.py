"""A model that is a folder, uploaded as a zip archive."""

import os
import tempfile
from pathlib import Path
from weakref import WeakKeyDictionary

from workers.host.archive import Archive, is_zip
from workers.host.artifact import Artifact
from workers.host.cell import scratch
from workers.host.rejection import Rejected

_MOST_TEXT_BYTES = 64 * 1024**2  # of a file that is read whole
_archives: WeakKeyDictionary[Artifact, Archive] = WeakKeyDictionary()
_LITTER = ("__MACOSX/", ".DS_Store")  # what a Mac adds


class ZippedFolder:
    """A folder in a zip archive.

    Attributes:
        names: of its files, relative to it.
    """

    def __init__(self, artifact: Artifact, archive: Archive, root: str = "") -> None:
        self._artifact, self._archive, self._root = artifact, archive, root
        self.names = frozenset(
            name.removeprefix(root)
            for name in archive.names()
            if name.startswith(root) and not _is_litter(name)
        )

    def inside(self, folder: str) -> "ZippedFolder":
        """A folder in it; one that has no files where there is none of that name."""
        return ZippedFolder(self._artifact, self._archive, f"{self._root}{folder.strip('/')}/")

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            Rejected: it is too large to be what it is read for, or is damaged.
        """
        try:
            return self._archive.read(self._root + name, most_bytes=_MOST_TEXT_BYTES)
        finally:
            self._artifact.file.seek(0)  # where others expect it

    def open_file(self, name: str) -> Artifact:
        """A file of it as an artifact of its own, copied to where only this process sees it."""
        with tempfile.TemporaryFile(dir=room()) as copy:
            try:
                copy.writelines(self._archive.pieces(self._root + name))
                copy.flush()
            except OSError as error:
                raise _no_room(error) from error
            os.lseek(copy.fileno(), 0, os.SEEK_SET)
            return Artifact(os.dup(copy.fileno()), bounds=self._artifact.bounds)

    def unpack(self, into: Path) -> Path:
        """Write its files below `into`, an empty folder of ours.

        Raises:
            Rejected: one is damaged, or there is no room for them all.
        """
        try:
            for name in self.names:
                target = into / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as written:
                    written.writelines(self._archive.pieces(self._root + name))
        except OSError as error:
            raise _no_room(error) from error
        return into


def room() -> Path:
    """Where this host may write.

    Raises:
        Rejected: nowhere.
    """
    folder = scratch.folder()
    if folder is None:
        raise Rejected(
            "sandbox_unavailable",
            "A model of this format is unpacked before it is opened, and this machine can make no safe room "
            "for that.",
            "Ask the operator to run `make doctor`, or upload the model in a format of one file.",
        )
    return folder


def _no_room(error: OSError) -> Rejected:
    """A host's folder is bounded, in bytes and in files."""
    return Rejected(
        "unpacks_too_large",
        f"Unpacked, the archive is more than a host may keep: {error.strerror}.",
        "Zip the model's own files only, or ask the operator for more `HOST_MEMORY_BYTES`.",
    )


def opened(artifact: Artifact) -> ZippedFolder | None:
    """What is in the artifact, where it is a zip archive.

    Raises:
        Rejected: it breaks off, or is not to be unpacked.
    """
    if not is_zip(artifact):
        return None
    try:
        return ZippedFolder(artifact, _archive_of(artifact))
    finally:
        artifact.file.seek(0)


def folder_with(artifact: Artifact, marker: str) -> ZippedFolder | None:
    """The folder that holds a file of that name: the archive's root, or the one folder in it that does."""
    whole = opened(artifact)
    if whole is None or marker in whole.names:
        return whole
    tail = f"/{marker}"
    holders = [name.removesuffix(tail) for name in whole.names if name.endswith(tail)]
    inner = [holder for holder in holders if "/" not in holder]
    return whole.inside(inner[0]) if len(inner) == 1 else None


def _archive_of(artifact: Artifact) -> Archive:
    """Checked once: every runtime looks into it, and fifty thousand entries take a second."""
    known = _archives.get(artifact)
    if known is None:
        known = _archives[artifact] = Archive(artifact)
    return known


def _is_litter(name: str) -> bool:
    return name.startswith(_LITTER[0]) or name.endswith(_LITTER[1])
