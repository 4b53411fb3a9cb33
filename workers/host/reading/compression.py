"""Compressed files as joblib writes them, unpacked as they are read and never past their bounds."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from joblib.compressor import BinaryZlibFile

from workers.host.artifact import Artifact
from workers.host.bounds import unpacks_too_large
from workers.host.rejection import Rejected

BROKEN = (EOFError, OSError, lzma.LZMAError, zlib.error)  # what damaged data raise

_COMPRESSIONS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x5d\x00\x00", "lzma"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x78\x01", "zlib"),
    (b"\x78\x5e", "zlib"),
    (b"\x78\x9c", "zlib"),
    (b"\x78\xda", "zlib"),
)
_OPENERS: dict[str, Callable[[BinaryIO], Any]] = {
    "gzip": lambda file: gzip.GzipFile(fileobj=file),
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "lzma": lzma.LZMAFile,
    "zlib": lambda file: BinaryZlibFile(file, "rb"),
}
_BUFFER_BYTES = 1024 * 1024


def compression_of(artifact: Artifact) -> str | None:
    """How the file is compressed, by its first bytes."""
    return next((name for magic, name in _COMPRESSIONS if artifact.head.startswith(magic)), None)


def unpacked(artifact: Artifact) -> BinaryIO:
    """The file from its beginning, unpacked where it is compressed.

    Raises:
        Rejected: by nothing that is read here; or, while it is read, it gives more than it may.
    """
    artifact.file.seek(0)
    compression = compression_of(artifact)
    if compression is None:
        return artifact.file
    if compression == "lz4":
        raise Rejected(
            "compression_unknown",
            "The file is compressed with lz4, which is not read here.",
            "Save it with another compression: `joblib.dump(model, 'model.joblib', compress=3)`.",
        )
    most = artifact.bounds.most_bytes(artifact.size_bytes)
    return cast("BinaryIO", Unpacked(_OPENERS[compression](artifact.file), most))


class Unpacked(io.BufferedReader):
    """What comes out of a compressed file, up to a bound.

    Buffered, whatever it comes from: an unpickler that can look ahead is faster.
    """

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        super().__init__(_Bounded(file, most_bytes), _BUFFER_BYTES)


class _Bounded(io.RawIOBase):
    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        self._file, self._most, self._left = file, most_bytes, most_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(min(len(buffer), _BUFFER_BYTES))
        self._left -= len(piece)
        if self._left < 0:
            raise unpacks_too_large(self._most)
        buffer[: len(piece)] = piece
        return len(piece)

    def tell(self) -> int:
        return self._most - self._left
