"""Where big bytes live: objects under keys, in a folder or in a bucket.

Keys, and who writes them:

    artifacts/{version_id}             an uploaded model        api
    samples/{version_id}               its example rows         api
    jobs/{job_id}/input                a job's file             api
    jobs/{job_id}/input.{fence}        likewise, fetched from elsewhere: batch worker
    jobs/{job_id}/text.{fence}     its text, if it came compressed or not in UTF-8: batch worker; goes
                                       when the job has succeeded, as parts do
    jobs/{job_id}/head.{fence}         the line of names of a CSV result: batch worker; goes likewise
    jobs/{job_id}/parts/{index}.{fence}  a chunk's output       batch worker; a part without its row in
                                       `chunks` is nobody's, and goes when the job ends in any way
    jobs/{job_id}/parts/{index}.{fence}.errors  likewise the rows that it left out
    jobs/{job_id}/errors.{fence}.{format}  all of those          batch worker
    jobs/{job_id}/result.{fence}       the whole output         batch worker
    uploads/{upload_id}/{start}.{uuid}  a piece of an upload: api; nobody's without its row in `upload_pieces`
    uploads/{upload_id}/whole.{uuid}   all pieces joined         api
    environments/{id}                  what an environment of libraries holds, with hashes: predict worker
    environments/requests/{digest}     the id of the environment that a request was resolved to: likewise
    checks/{id}                        written, read and removed when a process starts: api, `make run`
"""

import asyncio
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from typing_extensions import Buffer

from shared.errors import TooLarge
from shared.storage.bucket import open_store
from shared.storage.errors import ObjectMissing, in_our_words, writing_in_our_words

PIECE_BYTES = 4 * 1024 * 1024  # what is read at a time
# What is written at a time. S3 takes pieces of 5 MiB or more, and 10,000 of them: objects up to 78 GiB.
PART_BYTES = 8 * 1024 * 1024
_COPIED_BY_BUCKETS_BYTES = 5_000_000_000  # S3's CopyObject takes no more
LISTED_AT_ONCE = 200
_HASHED_BESIDE_BYTES = 256 * 1024  # smaller pieces are hashed sooner than handed to a thread


class Written(msgspec.Struct, frozen=True):
    """What was stored: its size, and the SHA-256 of its bytes in hexadecimal."""

    size_bytes: int
    digest: str


class Listed(msgspec.Struct, frozen=True):
    """An object in the listing of a store, whose clock `modified_at` is by."""

    key: str
    modified_at: datetime


class Storage:
    """Objects under keys. An object appears whole or not at all."""

    def __init__(self, url: str) -> None:
        self._folder = Path(unquote(urlsplit(url).path)) if url.startswith("file://") else None
        self._store = open_store(url)

    async def write(self, key: str, content: AsyncIterator[bytes], *, max_bytes: int) -> Written:
        """Store a stream under `key` while hashing it.

        Raises:
            TooLarge: it has more than `max_bytes`; nothing is stored.
            StorageAway: the store does not answer; nothing is stored.
        """
        counted = _Counted(content, max_bytes)
        with in_our_words(key):
            await obstore.put_async(
                self._store, key, counted, use_multipart=True, chunk_size=PART_BYTES, max_concurrency=2
            )
        return Written(counted.size_bytes, counted.digest.hexdigest())

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end` (excluded), in pieces.

        Raises:
            ObjectMissing: there is none, or no longer.
        """
        stop = await self.size(key) if end is None else end
        while start < stop:
            with in_our_words(key):
                piece = await obstore.get_range_async(
                    self._store, key, start=start, end=min(start + PIECE_BYTES, stop)
                )
            yield piece.to_bytes()
            start += len(piece)

    async def size(self, key: str) -> int:
        """How many bytes the object has.

        Raises:
            ObjectMissing: there is none.
        """
        with in_our_words(key):
            return (await obstore.head_async(self._store, key))["size"]

    async def delete(self, key: str) -> None:
        """Remove the object if it is there."""
        with suppress(ObjectMissing), in_our_words(key):
            await obstore.delete_async(self._store, key)

    async def delete_under(self, prefix: str, *, spare: Callable[[str], bool] = lambda _: False) -> None:
        """Remove every object whose key begins with `prefix` and a slash, but for those to `spare`."""
        with in_our_words(prefix):
            async for page in obstore.list(self._store, prefix, chunk_size=1000):
                for path in {entry["path"] for entry in page if not spare(entry["path"])}:
                    await self.delete(path)

    async def delete_folder(self, prefix: str) -> None:
        """Remove all under `prefix` and a slash; of a folder also what a crash left half written."""
        if self._folder is None:
            await self.delete_under(prefix)
        else:
            await asyncio.to_thread(shutil.rmtree, self._folder / prefix, ignore_errors=True)

    async def copy(self, key: str, to: str) -> None:
        """Store the object under a second key: in a folder as a link, in a bucket by the bucket itself."""
        size = await self.size(key)
        if self._folder is not None or size <= _COPIED_BY_BUCKETS_BYTES:
            with suppress(BaseError):  # a file system without links, a store that does not copy
                await obstore.copy_async(self._store, key, to)
                return
        await self.write(to, self.read(key, end=size), max_bytes=size)

    async def pages(self, prefix: str) -> AsyncIterator[list[Listed]]:
        """All objects whose key begins with `prefix` and a slash, in pages of LISTED_AT_ONCE at most."""
        with in_our_words(prefix):
            async for page in obstore.list(self._store, prefix, chunk_size=LISTED_AT_ONCE):
                yield [Listed(entry["path"], entry["last_modified"]) for entry in page]

    async def descriptor(self, key: str) -> int:
        """An open descriptor to read the object from; the caller closes it.

        A folder gives its own file; from a bucket the bytes are first copied to a file without a name.

        Raises:
            ObjectMissing: there is none.
        """
        if self._folder is not None:
            await self.size(key)
            return os.open(self._folder / key, os.O_RDONLY | os.O_CLOEXEC)
        with tempfile.TemporaryFile() as copy:
            async for piece in self.read(key):
                copy.write(piece)
            copy.flush()
            copy.seek(0)
            return os.dup(copy.fileno())

    def reader(self, key: str) -> io.RawIOBase:
        """The object as a file to read and seek in, for code that blocks; to be closed.

        Raises:
            ObjectMissing: there is none.
        """
        with in_our_words(key):
            if self._folder is not None:  # by way of the store every byte would be copied twice more
                return io.FileIO(self._folder / key)
            return ObjectReader(self._store, key)

    def writer(self, key: str) -> "ObjectWriter":
        """A file that becomes the object when it is closed, for code that blocks."""
        return ObjectWriter(self._store, key)


class _Counted(AsyncIterator[bytes]):
    """Passes a stream on while it counts and hashes it."""

    def __init__(self, content: AsyncIterator[bytes], max_bytes: int) -> None:
        self._content, self._max_bytes = content, max_bytes
        self.size_bytes, self.digest = 0, hashlib.sha256()

    async def __anext__(self) -> bytes:
        piece = await anext(self._content)
        self.size_bytes += len(piece)
        if self.size_bytes > self._max_bytes:
            raise TooLarge(f"the file has more than the {self._max_bytes} bytes that are allowed")
        self.digest.update(piece)
        return piece


class ObjectReader(io.RawIOBase):
    """Reads an object by ranges."""

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

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._sink = obstore.open_writer(store, key, buffer_size=PART_BYTES, max_concurrency=2)
        self._digest = _DigestBeside()
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
        self._digest.update(data)
        with writing_in_our_words():
            self._sink.write(data)
        self._size += len(data)
        return len(data)

    def close(self) -> None:
        """Make the object appear, whole."""
        if not self.closed:
            super().close()
            self._digest.finish()
            with writing_in_our_words():
                self._sink.close()

    def abandon(self) -> None:
        """Forget what was written: half a file must never become the object."""
        if not self.closed:
            super().close()
            self._digest.finish()
            del self._sink  # the store removes the unfinished upload

    def written(self) -> Written:
        """What was stored so far."""
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
