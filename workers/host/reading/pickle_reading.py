"""Reads pickles without running them: which names they import, and which versions they tell.

A pickle is a program for a small machine that builds objects by calling what it imports. Here the machine
runs, but gets placeholders in the place of imports, so that every operation is walked through and nothing
happens.
"""

import gc
import pickle
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from shared.catalog.verdict import Import
from workers.host.error_text import describe, shown
from workers.host.reading.compression import BROKEN
from workers.host.reading.memory_guard import memory_for
from workers.host.reading.notes import Global, Notes, unclear
from workers.host.reading.unpicklers import JoblibReader, PlainReader
from workers.host.rejection import Rejected, truncated

MOST_TOLD = 500  # names in a verdict
_MOST_PICKLES = 16
_ORDER = {"dangerous": 0, "unknown": 1, "allowed": 2}
_BREAKS_OFF = ("truncated", "ran out of input", "eof", "end-of-", "exhausted", "ended before")

Walk = Callable[[], object]


class PickleReading(msgspec.Struct, frozen=True, kw_only=True):
    """What was read.

    Attributes:
        names: every name that the unpickler will ask for.
        imports: how they stand, the most telling first.
        modules: that cloudpickled functions use.
        sklearn_versions: that wrote parts of it; more than one where models were put together.
        python_version: that compiled functions in it: "3.12", "3.8 to 3.10".
        pickles: how many lie behind each other in the file; only the first is ever loaded.
        trailing: something follows that is no pickle.
    """

    names: frozenset[Global]
    imports: list[Import]
    modules: frozenset[str] = frozenset()
    sklearn_versions: frozenset[str] = frozenset()
    python_version: str | None = None
    pickles: int = 1
    trailing: bool = False


def read_pickle(
    file: BinaryIO, *, joblib: bool, size_bytes: int, persistent_ids: bool = False
) -> PickleReading:
    """Read the pickles from here to the end of the file.

    Args:
        file: buffered, at the beginning of a pickle.
        joblib: arrays may lie between the operations, as joblib writes them.
        size_bytes: of the file, which bounds the memory that reading it may take.
        persistent_ids: the pickle may name objects outside of itself, as PyTorch's do.

    Raises:
        Rejected: it is damaged, or cannot be read without running it.
    """
    notes = Notes()

    def walk() -> None:
        if joblib:
            JoblibReader(file, notes).load()
        else:
            PlainReader(file, notes, keeps_ids=persistent_ids).load()

    gc.disable()  # there is nothing to collect in what only grows
    try:
        with memory_for(size_bytes):
            _walked(walk)
            pickles, trailing = _walk_further(walk, file)
    finally:
        gc.enable()
    return _reading(notes, pickles, trailing=trailing)


def _walked(walk: Walk) -> None:
    try:
        walk()
    except Rejected:
        raise
    except MemoryError as error:
        message = "The pickle claims more memory than a file of its size needs."
        raise Rejected("claims_too_much", message, "Save a smaller model.") from error
    except RecursionError as error:
        raise Rejected("nested_too_deeply", "The objects in the pickle are nested too deeply.") from error
    except (*BROKEN, pickle.UnpicklingError, ValueError, OverflowError) as error:
        raise _broken(error) from error
    except Exception as error:  # a machine that is given nonsense fails in many ways
        raise unclear(f"does what no saved model does ({describe(error)})") from error


def _walk_further(walk: Walk, file: BinaryIO) -> tuple[int, bool]:
    """Pickles behind the first are never loaded, but belong to what is in the file."""
    pickles = 1
    while pickles < _MOST_PICKLES:
        head = file.read(1)
        if not head:
            return pickles, False
        file.seek(-1, 1)
        try:
            _walked(walk)
        except Rejected as refusal:
            if refusal.reason.code == "unpacks_too_large":
                raise
            return pickles, True
        pickles += 1
    return pickles, True


def _reading(notes: Notes, pickles: int, *, trailing: bool) -> PickleReading:
    imports = [
        Import(module=shown(module), name=shown(name), standing=standing)
        for (module, name), standing in notes.standings().items()
    ]
    imports.sort(key=lambda each: (_ORDER[each.standing], each.module, each.name))
    return PickleReading(
        names=frozenset(notes.names),
        imports=imports,
        modules=frozenset(notes.modules),
        sklearn_versions=frozenset(notes.sklearn_versions),
        python_version=notes.python_version,
        pickles=pickles,
        trailing=trailing,
    )


def _broken(error: Exception) -> Rejected:
    text = str(error).lower()
    if isinstance(error, EOFError) or any(sign in text for sign in _BREAKS_OFF):
        return truncated()
    return Rejected("load_failed", f"The file cannot be loaded: {describe(error)}.")
