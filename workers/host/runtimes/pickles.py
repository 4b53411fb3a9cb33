"""Reads pickles, plain or as joblib writes them, and notes which names they import."""

import pickle
import re
from collections.abc import Callable
from typing import Any, BinaryIO

from joblib.numpy_pickle import NumpyArrayWrapper, NumpyUnpickler

from workers.host.artifact import Artifact
from workers.host.error_text import shown
from workers.host.reading.compression import BROKEN, unpacked
from workers.host.rejection import Rejected, truncated

Global = tuple[str, str]  # module, name

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


class _Imports:
    """The names that a pickle imports, which must be among those that were read in it."""

    def __init__(self, importable: frozenset[Global] | None) -> None:
        self.seen: set[Global] = set()
        self._importable = importable

    def find(self, find: Callable[[str, str], Any], module: str, name: str) -> Any:
        if self._importable is not None and (module, name) not in self._importable:
            raise Rejected(
                "import_not_read",
                f"The pickle imports {shown(f'{module}.{name}')}, which it hid when it was read.",
            )
        self.seen.add((module, name))
        try:
            return find(module, name)
        except (ImportError, AttributeError) as error:
            raise MissingGlobal(module, name, error) from error


class _Plain(pickle.Unpickler):
    """The C unpickler: fast, but blind to the arrays that joblib writes beside the pickle."""

    def __init__(self, file: BinaryIO, imports: _Imports) -> None:
        super().__init__(file)
        self._imports = imports

    def find_class(self, module: str, name: str) -> Any:
        return self._imports.find(super().find_class, module, name)


class _Joblib(NumpyUnpickler):  # type: ignore[misc]
    """Joblib's own, which reads those arrays."""

    def __init__(self, file: BinaryIO, imports: _Imports) -> None:
        super().__init__("", file, ensure_native_byte_order=True)
        self._imports = imports

    def find_class(self, module: str, name: str) -> Any:
        found = self._imports.find(super().find_class, module, name)
        return _Array if found is NumpyArrayWrapper else found

    def nested(self) -> Any:
        """The pickle that lies here in the file in the place of an array's numbers."""
        return _Plain(self.file_handle, self._imports).load()


class _Array(NumpyArrayWrapper):  # type: ignore[misc]
    """Joblib before 1.6 reads arrays of objects by an unpickler of its own, which may import anything."""

    def read_array(self, unpickler: _Joblib, *arguments: Any) -> Any:
        """The array; its objects may import no more than the rest."""
        return unpickler.nested() if self.dtype.hasobject else super().read_array(unpickler, *arguments)


def is_pickle(artifact: Artifact) -> bool:
    """Whether the content, unpacked where it is compressed, begins like a pickle."""
    return bool(_PICKLE.match(_unpacked_head(artifact)))


def unpickle(artifact: Artifact, fmt: str) -> tuple[Any, set[Global]]:
    """The object in the file, and the names that it imported. This runs whatever the pickle says.

    Raises:
        MissingGlobal: it names what is not there.
        Rejected: it imports what was not read in it.
    """
    imports = _Imports(artifact.importable)
    file = unpacked(artifact)
    loaded = _Plain(file, imports).load() if fmt == "pickle" else _Joblib(file, imports).load()
    return loaded, imports.seen


def recorded_sklearn_version(artifact: Artifact) -> str | None:
    """The version of scikit-learn that wrote the file, read from its bytes without running it."""
    try:
        found = _VERSION.search(unpacked(artifact).read(_SCANNED_BYTES))
    except BROKEN:
        return None
    return found[1].decode() if found else None


def _unpacked_head(artifact: Artifact) -> bytes:
    """The first bytes, unpacked; nothing where they cannot be.

    Raises:
        Rejected: a compressed file that breaks off before anything comes out of it.
    """
    file = unpacked(artifact)
    head = b""
    try:
        head = file.read(2)
        head += file.read(_LONGEST_BEGINNING)
    except EOFError as error:
        if not head:
            raise truncated() from error
    except BROKEN:
        return b""
    finally:
        artifact.file.seek(0)
    return head
