"""Memory shared with the supervisor, as a host sees it."""

import ctypes
import mmap
import os

from workers.host.protocol import SLOT_BYTES

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_FAILED = ctypes.c_void_p(-1).value


class Slot:
    """One slot. All that it can grow to is mapped at once (addresses, not memory), and the descriptor closed.

    Without a descriptor the host can read and write what the supervisor made room for, and make no more:
    the memory of a slot counts as nobody's.
    """

    def __init__(self, descriptor: int) -> None:
        """Take the descriptor.

        Raises:
            OSError: it cannot be mapped.
        """
        rights = mmap.PROT_READ | mmap.PROT_WRITE
        at = _libc.mmap(
            None,
            ctypes.c_size_t(SLOT_BYTES),
            rights,
            mmap.MAP_SHARED,
            ctypes.c_int(descriptor),
            ctypes.c_long(0),
        )
        os.close(descriptor)
        if at == _FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._memory = memoryview((ctypes.c_char * SLOT_BYTES).from_address(at)).cast("B")

    def area(self, end: int) -> memoryview:
        """The slot up to `end`, for which the supervisor has made room."""
        return self._memory[:end]
