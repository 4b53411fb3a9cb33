"""Memory that a supervisor shares with one host: two slots, so that one fills while the other is computed.

Each slot is a memfd made here and handed over at the fork. It can grow and never shrink: a host
that cut it short would otherwise kill whoever reads it (SIGBUS).
"""

import fcntl
import mmap
import os

from workers.host.protocol import SLOT_BYTES, SLOTS

_STEP_BYTES = 1024 * 1024
_BLOCK_BYTES = 512  # of stat(2)


class Slot:
    """One growing piece of shared memory."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("slot", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self._memory: memoryview | None = None

    def area(self, size_bytes: int) -> memoryview:
        """At least `size_bytes` of the slot. Views given before show the same bytes."""
        if self._memory is None or len(self._memory) < size_bytes:
            self._grow(-(-size_bytes // _STEP_BYTES) * _STEP_BYTES)
        assert self._memory is not None  # noqa: S101  grown above
        return self._memory

    def _grow(self, size_bytes: int) -> None:
        if size_bytes > SLOT_BYTES:
            raise ValueError(f"a call of {size_bytes} bytes is too large: give it fewer rows")
        if os.fstat(self.descriptor).st_size < size_bytes:
            os.ftruncate(self.descriptor, size_bytes)
        self._memory = memoryview(mmap.mmap(self.descriptor, size_bytes))

    def taken_bytes(self) -> int:
        """Memory behind it: what either side has written to, and keeps until the host ends."""
        return os.fstat(self.descriptor).st_blocks * _BLOCK_BYTES

    def close(self) -> None:
        """Let go of the descriptor; the memory lives as long as somebody looks at it."""
        os.close(self.descriptor)
        self._memory = None


def make_slots() -> list[Slot]:
    """The slots of one host."""
    return [Slot() for _ in range(SLOTS)]
