"""Reads pickles, plain or as joblib writes them, and notes which names they import."""

import bz2
import gzip
import lzma
import pickle
import re
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from joblib.compressor import BinaryZlibFile
from joblib.numpy_pickle import NumpyUnpickler

from workers.host.artifact import Artifact
from workers.host.rejection import SAVE_AGAIN, Rejected, truncated

Global = tuple[str, str]  # module, name

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
_BROKEN = (EOFError, OSError, lzma.LZMAError, zlib.error)
_LONGEST_BEGINNING = 16
_SCANNED_BYTES = 64 * 1024 * 1024

# PROTO 2 to 5, or the way that protocols 0 and 1 begin an object.
_PICKLE = re.compile(rb"\x80[\x02-\x05]|ccopy_reg\n|ccopyreg\n|c__builtin__\n|cnumpy")
# The key in an estimator's state, perhaps a memo, then the version: SHORT_BINUNICODE or BINUNICODE.
_VERSION = re.compile(
    rb"_sklearn_version(?:\x94|q.|r....)?(?:\x8c.|X.\x00\x00\x00)(\d[\w.+]{2,20})", re.DOTALL
)


class MissingGlobal(Exception):
    """The pickle names something that is not there."""

    def __init__(self, module: str, name: str, cause: BaseException) -> None:
        self.module, self.name, self.cause = module, name, cause
        super().__init__(f"{module}.{name}")


class _Plain(pickle.Unpickler):
    """The C unpickler: fast, but blind to the arrays that joblib writes beside the pickle."""

    def __init__(self, file: BinaryIO, seen: set[Global]) -> None:
        super().__init__(file)
        self._seen = seen

    def find_class(self, module: str, name: str) -> Any:
        self._seen.add((module, name))
        return _found(super().find_class, module, name)


class _Joblib(NumpyUnpickler):  # type: ignore[misc]
    """Joblib's own, which reads those arrays."""

    def __init__(self, file: BinaryIO, seen: set[Global]) -> None:
        super().__init__("", file, ensure_native_byte_order=True)
        self._seen = seen

    def find_class(self, module: str, name: str) -> Any:
        self._seen.add((module, name))
        return _found(super().find_class, module, name)


def is_pickle(artifact: Artifact) -> bool:
    """Whether the content, unpacked where it is compressed, begins like a pickle."""
    return bool(_PICKLE.match(_unpacked_head(artifact)))


def format_of(artifact: Artifact) -> str:
    """`joblib`, where it is compressed or holds arrays as joblib writes them; else `pickle`."""
    compressed = _compression(artifact.head) is not None
    return "joblib" if compressed or artifact.contains(b"joblib.numpy_pickle") else "pickle"


def unpickle(artifact: Artifact, fmt: str) -> tuple[Any, set[Global]]:
    """The object in the file, and the names that it imported. This runs whatever the pickle says.

    Raises:
        MissingGlobal: it names what is not there.
    """
    seen: set[Global] = set()
    file = _unpacked(artifact)
    loaded = _Plain(file, seen).load() if fmt == "pickle" else _Joblib(file, seen).load()
    return loaded, seen


def recorded_sklearn_version(artifact: Artifact) -> str | None:
    """The version of scikit-learn that wrote the file, read from its bytes without running it."""
    artifact.file.seek(0)
    try:
        found = _VERSION.search(_unpacked(artifact).read(_SCANNED_BYTES))
    except _BROKEN:
        return None
    return found[1].decode() if found else None


def _found(find: Callable[[str, str], Any], module: str, name: str) -> Any:
    try:
        return find(module, name)
    except (ImportError, AttributeError) as error:
        raise MissingGlobal(module, name, error) from error


def _compression(head: bytes) -> str | None:
    return next((name for magic, name in _COMPRESSIONS if head.startswith(magic)), None)


def _unpacked(artifact: Artifact) -> BinaryIO:
    compression = _compression(artifact.head)
    if compression is None:
        return artifact.file
    if compression == "lz4":
        raise Rejected(
            "compression_unknown", "The file is compressed with lz4, which is not read here.", SAVE_AGAIN
        )
    return cast("BinaryIO", _OPENERS[compression](artifact.file))


def _unpacked_head(artifact: Artifact) -> bytes:
    """The first bytes, unpacked; nothing where they cannot be.

    Raises:
        Rejected: a compressed file that breaks off before anything comes out of it.
    """
    file = _unpacked(artifact)
    head = b""
    try:
        head = file.read(2)
        head += file.read(_LONGEST_BEGINNING)
    except EOFError as error:
        if not head:
            raise truncated() from error
    except _BROKEN:
        return b""
    finally:
        artifact.file.seek(0)
    return head
