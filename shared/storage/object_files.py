"""Objects as files to read and to write, for code that blocks."""

import hashlib
import io
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

import msgspec
import obstore
from obstore.store import ObjectStore
from typing_extensions import Buffer

from shared.storage.errors import in_our_words, writing_in_our_words

PIECE_BYTES = 4 * 1024 * 1024  # what is read at a time
# What is written at a time. S3 takes pieces of 5 MiB or more, and 10,000 of them: objects up to 78 GiB.
PART_BYTES = 8 * 1024 * 1024
_HASHED_BESIDE_BYTES = 256 * 1024  # smaller pieces are hashed sooner than handed to a thread


class Written(msgspec.Struct, frozen=True):
    """What was stored: its size, and the SHA-256 of its bytes in hexadecimal."""

    size_bytes: int
    digest: str


class FolderReader(io.FileIO):
    """Reads a file of a folder.

    Attributes:
        piece_bytes: that are best copied at a time. Memory for larger pieces the C library gives back and
            takes anew, which costs several times what copying does.
    """

    piece_bytes: Final = 1024 * 1024


class ObjectReader(io.RawIOBase):
    """Reads an object by ranges.

    Attributes:
        piece_bytes: likewise; each costs a request.
    """

    piece_bytes: Final = PIECE_BYTES

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store, self._key = store, key
        self._size = obstore.head(store, key)["size"]
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position from the start, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` from the start, the position or the end."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; all that is left without it."""
        left = max(self._size - self._position, 0)
        length = left if size < 0 else min(size, left)
        if length == 0:
            return b""
        with in_our_words(self._key):
            piece = obstore.get_range(self._store, self._key, start=self._position, length=length)
        self._position += len(piece)
        return piece.to_bytes()


StoredFile = FolderReader | ObjectReader


class _DigestBeside:
    """A SHA-256 that is computed while the bytes are written: hashing takes about as long as writing."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1)  # started with the first large piece
        self._pending: Future[None] | None = None

    def update(self, data: bytes) -> None:
        """Add to the end."""
        self._settle()
        if len(data) < _HASHED_BESIDE_BYTES:
            self._digest.update(data)
        else:
            self._pending = self._thread.submit(self._digest.update, data)

    def hexdigest(self) -> str:
        """Of all that was added."""
        self._settle()
        return self._digest.hexdigest()

    def finish(self) -> None:
        """No more will be added."""
        self._thread.shutdown()

    def _settle(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None


class ObjectWriter(io.RawIOBase):
    """Writes an object in order; nothing of it is seen before `close`."""

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        hashed: bool = True,
    ) -> None:
        self._sink = obstore.open_writer(
            store, key, attributes=dict(headers or {}) or None, buffer_size=PART_BYTES, max_concurrency=2
        )
        self._digest = _DigestBeside() if hashed else None
        self._size = 0

    def writable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """How many bytes were written."""
        return self._size

    def write(self, piece: Buffer) -> int:
        """Add to the end."""
        data = bytes(piece)
        if self._digest is not None:
            self._digest.update(data)
        with writing_in_our_words():
            self._sink.write(data)
        self._size += len(data)
        return len(data)

    def close(self) -> None:
        """Make the object appear, whole."""
        if not self.closed:
            self._end()
            with writing_in_our_words():
                self._sink.close()

    def abandon(self) -> None:
        """Forget what was written: half a file must never become the object."""
        if not self.closed:
            self._end()
            del self._sink  # the store removes the unfinished upload

    def _end(self) -> None:
        super().close()
        if self._digest is not None:
            self._digest.finish()

    def written(self) -> Written:
        """What was stored so far, of a writer that hashes."""
        assert self._digest is not None  # noqa: S101  narrows the type
        return Written(self._size, self._digest.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        if failure[0] is None:
            self.close()
        else:
            self.abandon()

    def __del__(self) -> None:
        # The base class would close, and so publish, what nobody finished.
        self.abandon()
