"""Gives back to the system what opening a model left unused."""

import ctypes
import gc

_libc = ctypes.CDLL(None)


def give_back() -> None:
    """Return free memory, of which the C library keeps up to as much again as a large model takes."""
    gc.collect()
    if hasattr(_libc, "malloc_trim"):  # glibc
        _libc.malloc_trim(0)
