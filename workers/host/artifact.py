"""The uploaded file, and what its first bytes say it is."""

import os
from typing import BinaryIO

from workers.host.bounds import Bounds
from workers.host.kinds import kind_of
from workers.host.rejection import Rejected
from workers.host.unserved import unserved

_HEAD_BYTES = 64 * 1024


class Artifact:
    """A file to be opened as a model.

    Attributes:
        file: at its beginning.
        head: its first bytes.
        bounds: of what it may unpack to.
        importable: the names that its pickles may import, once they were read; None: any.
    """

    def __init__(self, descriptor: int, *, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.importable: frozenset[tuple[str, str]] | None = None
        self.file: BinaryIO = os.fdopen(descriptor, "rb")
        self.size_bytes = os.fstat(descriptor).st_size
        self.head = self.file.read(_HEAD_BYTES)
        self.file.seek(0)
        if not self.size_bytes:
            raise Rejected(
                "empty_file", "The file is empty.", "Upload it again; the transfer may have failed."
            )

    def contains(self, needle: bytes) -> bool:
        """Whether the bytes occur anywhere in the file."""
        overlap = b""
        while piece := self.file.read(1 << 20):
            if needle in overlap + piece:
                break
            overlap = piece[-len(needle) :]
        self.file.seek(0)
        return bool(piece)


def not_a_model(head: bytes) -> Rejected:
    """Says what a file is that no runtime recognises."""
    return unserved(kind_of(head))
