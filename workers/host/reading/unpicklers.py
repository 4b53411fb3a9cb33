"""The unpicklers that load models, with imports and calls taken out of them.

The real ones, so that what is read is what would be loaded: a reader of its own would see other things than
the unpickler in a file that is made for that.
"""

import pickle
from typing import Any, BinaryIO

from workers.host.reading.arrays import array_bytes
from workers.host.reading.notes import Notes, unclear
from workers.host.reading.placeholders import JoblibArray, Placeholder, placeholder_of
from workers.host.rejection import truncated

_PIECE_BYTES = 16 * 1024 * 1024
_PythonUnpickler: Any = pickle._Unpickler  # noqa: SLF001  joblib's is made of it


class _Imports:
    """Hands out placeholders in the place of what a pickle imports."""

    def __init__(self, notes: Notes, *, keeps_ids: bool) -> None:
        self._notes, self._keeps_ids = notes, keeps_ids
        self._made: dict[tuple[str, str], type[Placeholder]] = {}
        self._object = placeholder_of(("", ""), notes)

    def get(self, module: Any, name: Any) -> type[Placeholder]:
        self._notes.note_name(module, name)
        if (module, name) not in self._made:
            self._made[module, name] = placeholder_of((module, name), self._notes)
        return self._made[module, name]

    def persistent(self) -> Placeholder:
        """What stands for an object that lies outside of the pickle."""
        if not self._keeps_ids:
            raise unclear("names objects outside of itself by persistent ids")
        return self.object()

    def object(self) -> Placeholder:
        """What stands for an object of which nothing is known."""
        made: Placeholder = self._object()
        return made


class PlainReader(pickle.Unpickler):
    """The C unpickler: pickles without joblib's arrays."""

    def __init__(self, file: BinaryIO, notes: Notes, *, keeps_ids: bool = False) -> None:
        super().__init__(file)
        self._imports = _Imports(notes, keeps_ids=keeps_ids)

    def find_class(self, module: str, name: str) -> Any:
        """Import nothing."""
        return self._imports.get(module, name)

    def persistent_load(self, _: Any) -> Any:
        """Look for nothing."""
        return self._imports.persistent()


class JoblibReader(_PythonUnpickler):  # type: ignore[misc]
    """Python's unpickler, as joblib takes it, which steps over the arrays that lie between operations."""

    dispatch = _PythonUnpickler.dispatch.copy()

    def __init__(self, file: BinaryIO, notes: Notes) -> None:
        super().__init__(file)
        self._file, self._notes = file, notes
        self._imports = _Imports(notes, keeps_ids=False)

    def find_class(self, module: str, name: str) -> Any:
        """Import nothing."""
        return self._imports.get(module, name)

    def persistent_load(self, _: Any) -> Any:
        """Look for nothing."""
        return self._imports.persistent()

    def get_extension(self, code: int) -> Any:
        """Refuse: what a number stands for is not in the file."""
        raise unclear(f"imports by the number {code}, which is registered nowhere")

    def load_build(self) -> None:
        """Set an object's state; an array's bytes follow that."""
        super().load_build()
        if isinstance(self.stack[-1], JoblibArray):
            self._step_over(self.stack[-1])
            self.stack[-1] = self._imports.object()

    dispatch[pickle.BUILD[0]] = load_build

    def _step_over(self, array: JoblibArray) -> None:
        following = array_bytes(array)
        if following.size is None:
            PlainReader(self._file, self._notes).load()
            return
        if following.aligned:
            self._skip(int.from_bytes(self._file.read(1), "little"))
        self._skip(following.size)

    def _skip(self, size_bytes: int) -> None:
        while size_bytes > 0:
            piece = self._file.read(min(size_bytes, _PIECE_BYTES))
            if not piece:
                raise truncated()
            size_bytes -= len(piece)
