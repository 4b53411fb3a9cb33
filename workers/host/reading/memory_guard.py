"""Keeps a pickle that claims absurd sizes from taking the machine's memory while it is read."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

_DATA_FIELD = 5  # of statm: pages of data and stack
_FREE_BYTES = 1024 * 1024 * 1024
_FACTOR = 16  # an empty dict takes one byte in a pickle and 64 in memory


@contextlib.contextmanager
def memory_for(file_bytes: int) -> Iterator[None]:
    """Allow what reading an honest pickle of this size may take; past it allocations raise MemoryError.

    Where the host's sandbox has set a limit, that one stands.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    data = _data_bytes()
    if soft != resource.RLIM_INFINITY or data is None:
        yield
        return
    limit = data + _FREE_BYTES + _FACTOR * file_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[_DATA_FIELD])
    except (OSError, ValueError, IndexError):
        return None
    return pages * resource.getpagesize()
