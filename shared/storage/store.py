"""Where big bytes live: objects under keys, in a folder or in a bucket.

Keys, and who writes them:

    artifacts/{version_id}             an uploaded model        api
    samples/{version_id}               its example rows         api
    jobs/{job_id}/input                a job's file             api
    jobs/{job_id}/input.{index}        likewise, of several files those behind the first
    jobs/{job_id}/input.{fence}        likewise, fetched from elsewhere: batch worker
    jobs/{job_id}/text.{fence}     its text, if it came compressed or not in UTF-8: batch worker; goes
                                       when the job has succeeded, as parts do; of files behind the first
                                       text.{fence}.{index}
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
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
import obstore
from obstore.exceptions import BaseError

from shared.errors import TooLarge
from shared.storage.bucket import open_bucket, open_store
from shared.storage.drafts import delete_drafts, delete_old_drafts
from shared.storage.errors import ObjectMissing, in_our_words
from shared.storage.object_files import (
    PART_BYTES,
    PIECE_BYTES,
    FolderReader,
    ObjectReader,
    ObjectWriter,
    StoredFile,
    Written,
)

_COPIED_BY_BUCKETS_BYTES = 5_000_000_000  # S3's CopyObject takes no more
LISTED_AT_ONCE = 200


class Listed(msgspec.Struct, frozen=True):
    """An object in the listing of a store, whose clock `modified_at` is by."""

    key: str
    modified_at: datetime


class Storage:
    """Objects under keys. An object appears whole or not at all."""

    def __init__(self, url: str, *, public_endpoint: str = "") -> None:
        """Open it.

        Args:
            public_endpoint: where those who are given links reach the bucket; empty: where we do.
        """
        self._folder = Path(unquote(urlsplit(url).path)) if url.startswith("file://") else None
        self._store = open_store(url)
        self._public = open_bucket(url, endpoint=public_endpoint) if self._folder is None else None

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
        """Remove every object whose key begins with `prefix` and a slash, but for those to `spare`.

        Of a folder also what a crash left half written of such objects.
        """
        with in_our_words(prefix):
            async for page in obstore.list(self._store, prefix, chunk_size=1000):
                for path in {entry["path"] for entry in page if not spare(entry["path"])}:
                    await self.delete(path)
        if self._folder is not None:
            await asyncio.to_thread(delete_drafts, self._folder, prefix, spare=spare)

    async def delete_folder(self, prefix: str) -> None:
        """Remove all under `prefix` and a slash; of a folder also what a crash left half written."""
        if self._folder is None:
            await self.delete_under(prefix)
        else:
            await asyncio.to_thread(shutil.rmtree, self._folder / prefix, ignore_errors=True)

    async def delete_half_written(self, *, before: datetime) -> int:
        """Remove what writers left that died while they wrote, last touched before then; how many there were.

        A bucket does so by itself, by a rule of its own.
        """
        if self._folder is None:
            return 0
        return await asyncio.to_thread(delete_old_drafts, self._folder, before=before.timestamp())

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

    def reader(self, key: str) -> StoredFile:
        """The object as a file to read and seek in, for code that blocks; to be closed.

        Raises:
            ObjectMissing: there is none.
        """
        with in_our_words(key):
            if self._folder is not None:  # by way of the store every byte would be copied twice more
                return FolderReader(self._folder / key)
            return ObjectReader(self._store, key)

    def writer(
        self, key: str, *, headers: Mapping[str, str] | None = None, hashed: bool = True
    ) -> ObjectWriter:
        """A file that becomes the object when it is closed, for code that blocks.

        Args:
            headers: of HTTP, with which a bucket answers those who come by a link.
            hashed: it will be asked for the digest, which takes about as long as writing.
        """
        sent = None if self._folder is not None else headers
        return ObjectWriter(self._store, key, headers=sent, hashed=hashed)

    async def link(self, key: str, *, lasts_s: float) -> str | None:
        """A URL with which anybody can read the object for a while; None of a folder, which has none."""
        if self._public is None:
            return None
        with in_our_words(key):
            return await obstore.sign_async(self._public, "GET", key, timedelta(seconds=lasts_s))


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
