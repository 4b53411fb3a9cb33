"""The one way to open a zip archive: what it claims is checked before anything is unpacked."""

import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from workers.host.artifact import Artifact
from workers.host.bounds import unpacks_too_large
from workers.host.error_text import shown
from workers.host.rejection import Rejected, truncated

_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")  # a first entry, or the end of an archive without any
_DIRECTORY_BYTES = 8 * 1024 * 1024  # of the list of entries, some 150 bytes each
_LONGEST_NAME = 1024
_DEEPEST = 32
_PIECE_BYTES = 1024 * 1024
# Python's readers of bz2 and LZMA entries unpack a whole piece at once, however much comes out of it.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OverflowError)


def is_zip(artifact: Artifact) -> bool:
    """Whether the content begins as an archive does."""
    return artifact.head.startswith(_SIGNATURES)


class Archive:
    """A zip archive whose names, sizes and kinds of entries have been found harmless.

    Sizes are checked as claimed, and no entry gives more than it claims. Checksums are checked as
    entries are read.

    Attributes:
        unpacked_bytes: of all files in it.
    """

    def __init__(self, artifact: Artifact) -> None:
        """Check the list of entries; reads no entry.

        Raises:
            Rejected: it is no archive, or one that is not to be unpacked; the reason says why.
        """
        artifact.file.seek(0)
        file = _Sparing(artifact.file)
        try:
            self._zip = zipfile.ZipFile(cast("IO[bytes]", file))
        except _BROKEN as error:
            raise _broken(error) from error
        file.read = artifact.file.read  # from here on it is entries that are read
        entries = self._zip.infolist()
        if len(entries) > artifact.bounds.entries:
            raise _too_many(artifact.bounds.entries)
        for entry in entries:
            _refuse_unsafe(entry)
        _refuse_clashes(entries)
        self.unpacked_bytes = _unpacked_bytes(entries, artifact)
        self._files = {entry.filename: entry for entry in entries if not entry.is_dir()}

    def names(self) -> list[str]:
        """Of the files, with `/` between folders, in the archive's order."""
        return list(self._files)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def size_bytes(self, name: str) -> int:
        """Of one file, unpacked."""
        return self._files[name].file_size

    def read(self, name: str, *, most_bytes: int) -> bytes:
        """One file, whole.

        Raises:
            Rejected: it is not there, is larger than `most_bytes`, or is damaged.
        """
        entry = self._entry(name)
        if entry.file_size > most_bytes:
            raise Rejected(
                "archive_entry_too_large",
                f"{shown(name)!r} in the archive is larger than the {most_bytes:,} bytes that it may have.",
            )
        return b"".join(self.pieces(name))

    def open(self, name: str) -> IO[bytes]:
        """One file as a stream, to be read in pieces: one that lies about its size unpacks to what is asked.

        Read it to its end, where its checksum is compared.

        Raises:
            Rejected: it is not there. Reading may raise BadZipFile, zlib.error or EOFError.
        """
        return self._zip.open(self._entry(name))

    def extract_to(self, directory: Path) -> None:
        """Write all files below an empty directory of ours.

        Raises:
            Rejected: an entry is damaged.
        """
        for name in self._files:
            target = directory.joinpath(*PurePosixPath(name).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as written:
                written.writelines(self.pieces(name))

    def pieces(self, name: str) -> Iterator[bytes]:
        """One file, a megabyte at a time.

        Raises:
            Rejected: it is not there, or is damaged.
        """
        try:
            with self.open(name) as stream:
                while piece := stream.read(_PIECE_BYTES):
                    yield piece
        except _BROKEN as error:
            raise _broken(error) from error

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = self._files.get(name)
        if entry is None:
            raise Rejected("archive_entry_missing", f"The archive lacks the file {shown(name)!r}.")
        return entry


class _Sparing:
    """The file, which refuses to be read in pieces so large that only a hostile archive asks for them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read: Callable[[int], bytes] = self._read_spared
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def _read_spared(self, size: int = -1) -> bytes:
        piece = self._file.read(_DIRECTORY_BYTES + 1 if size < 0 else min(size, _DIRECTORY_BYTES + 1))
        if len(piece) > _DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its list of entries is too long")
        return piece


def _refuse_unsafe(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    parts = name.removesuffix("/").split("/")
    if "\\" in name or not name.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise _unsafe(name, "has a name that leads elsewhere")
    if len(name) > _LONGEST_NAME or len(parts) > _DEEPEST or parts[0].endswith(":"):
        raise _unsafe(name, "has a name that no tool gives")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _unsafe(name, "is a link or a device, not a file")
    if entry.flag_bits & _ENCRYPTED:
        raise _unsafe(name, "is encrypted")
    if entry.compress_type not in _METHODS:
        raise _unsafe(name, "is compressed otherwise than by deflate")


def _refuse_clashes(entries: list[zipfile.ZipInfo]) -> None:
    """Every name once, and none both a file and a folder: readers would disagree on which counts."""
    counts = Counter(entry.filename.removesuffix("/") for entry in entries)
    files = {entry.filename for entry in entries if not entry.is_dir()}
    for name, count in counts.items():
        above = [str(parent) for parent in PurePosixPath(name).parents]
        if count > 1 or not files.isdisjoint(above):
            raise _unsafe(name, "is there twice")


def _unpacked_bytes(entries: list[zipfile.ZipInfo], artifact: Artifact) -> int:
    if sum(entry.compress_size for entry in entries) > artifact.size_bytes:
        raise _unsafe(entries[0].filename, "shares its bytes with others")
    unpacked = sum(entry.file_size for entry in entries)
    most = artifact.bounds.most_bytes(artifact.size_bytes)
    if unpacked > most:
        raise unpacks_too_large(most)
    return unpacked


def _unsafe(name: str, what: str) -> Rejected:
    return Rejected(
        "archive_unsafe",
        f"The entry {shown(name)!r} of the archive {what}.",
        "Upload the archive as the library wrote it, or make a new one with Python's `zipfile`.",
    )


def _too_many(most: int) -> Rejected:
    return Rejected(
        "archive_too_many_entries",
        f"The archive has more than {most:,} entries.",
        "Upload an archive that holds the model only.",
    )


def _broken(error: Exception) -> Rejected:
    if isinstance(error, EOFError) or "not a zip file" in str(error):
        return truncated()
    return Rejected(
        "archive_damaged",
        f"The archive cannot be read: {shown(str(error))}.",
        "Save the model again, and upload the whole file.",
    )
