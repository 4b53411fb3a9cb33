"""What a host printed: the end of it, kept where no host that is forked later finds it."""

import mmap
import os

from workers.host.protocol import Buffer

SIZE = 16 * 1024


class Printed:
    """A ring of memory that is left out of forks, and that no copy is made of on the heap.

    A model can read all memory of its own process, and so whatever its template had in it.
    """

    def __init__(self) -> None:
        ring = mmap.mmap(-1, SIZE)
        ring.madvise(mmap.MADV_DONTFORK)
        self._ring = memoryview(ring)
        self._taken = 0

    def take(self, pipe: int) -> bool:
        """Take what was printed into the pipe; False where there was nothing, and never will be.

        Raises:
            BlockingIOError: there is nothing now.
        """
        at = self._taken % SIZE
        count = os.readv(pipe, [self._ring[at:], self._ring[:at]])
        self._taken += count
        return bool(count)

    def add(self, words: bytes) -> None:
        """Have it end with our own words, of at most SIZE bytes."""
        for byte in words:
            self._ring[self._taken % SIZE] = byte
            self._taken += 1

    @property
    def count(self) -> int:
        """How many bytes were taken in all."""
        return self._taken

    def parts_since(self, count: int) -> list[Buffer]:
        """What is kept of that which came after the first `count` bytes, the oldest first."""
        first = max(count, self._taken - SIZE)
        if first >= self._taken:
            return []
        start, end = first % SIZE, self._taken % SIZE
        return [self._ring[start:end]] if start < end else [self._ring[start:], self._ring[:end]]

    def parts(self) -> list[Buffer]:
        """What is kept, the oldest first."""
        if self._taken <= SIZE:
            return [self._ring[: self._taken]]
        at = self._taken % SIZE
        return [self._ring[at:], self._ring[:at]]
