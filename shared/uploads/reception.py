"""How the bytes of an upload arrive: piece by piece, each recorded before the next.

A request that sends bytes takes the upload over: its fence is the newest, and whatever an older request still
sends is refused. So a sender whose connection broke need not wait until the platform has noticed, and of two
that send at once one wins. All pieces but the last have the same size: a request first takes up the last
piece, if it is short, and stores it again with its own bytes behind it.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.catalog.errors import DigestMismatch
from shared.database.engine import Database
from shared.errors import InvalidInput
from shared.quotas.errors import QuotaExceeded
from shared.quotas.limits import require_room
from shared.quotas.quota import Quota
from shared.settings import MIB, Settings
from shared.storage.errors import ObjectMissing, StorageAway
from shared.storage.object_files import PIECE_BYTES as STORE_BYTES
from shared.storage.object_files import Written
from shared.storage.store import Storage
from shared.uploads.acts import note_upload
from shared.uploads.errors import OffsetMismatch, UploadComplete, UploadIncomplete, UploadTakenOver
from shared.uploads.incoming import Incoming
from shared.uploads.keys import new_piece_key, new_whole_key, upload_folder
from shared.uploads.lookup import expiry, find_upload
from shared.uploads.tables import PieceRow, UploadRow

PIECE_BYTES: Final = 16 * MIB
_JOINS_AT_ONCE = 2


class Piece(msgspec.Struct, frozen=True):
    """A stored part of an upload."""

    start: int
    size_bytes: int
    key: str


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A request's right to add to an upload, until another takes it over.

    Attributes:
        most_bytes: what the whole file may have.
        last: the last piece, if it is short.
    """

    tenant_id: UUID
    upload_id: UUID
    fence: int
    offset: int
    size_bytes: int | None
    most_bytes: int
    asked_digest: str | None
    last: Piece | None


class Reception:
    """Stores what requests send."""

    def __init__(
        self, settings: Settings, database: Database, storage: Storage, *, piece_bytes: int = PIECE_BYTES
    ) -> None:
        self._settings, self._database, self._storage = settings, database, storage
        self._piece_bytes = piece_bytes
        # Bytes of many GB, read, hashed and written, would hold up whoever waits for a prediction.
        self._threads = ThreadPoolExecutor(_JOINS_AT_ONCE, thread_name_prefix="joins")

    def close(self) -> None:
        """Begin no more joins."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def claim(self, tenant_id: UUID, upload: str, *, offset: int) -> Claim:
        """Take the upload over, to go on at `offset`.

        Raises:
            UploadNotFound, OffsetMismatch, UploadComplete: it cannot go on there.
        """
        async with self._database.transaction() as session:
            row = await find_upload(session, tenant_id, upload, lock=True)
            if row.offset_bytes != offset:
                raise OffsetMismatch(row.offset_bytes, given=offset)
            if row.key is not None:
                raise UploadComplete(f"all {row.size_bytes} bytes of this upload are there")
            row.fence += 1
            last = await self._short_piece(session, row.id)
        return Claim(
            tenant_id=tenant_id,
            upload_id=row.id,
            fence=row.fence,
            offset=offset,
            size_bytes=row.size_bytes,
            most_bytes=row.size_bytes or self._settings.job_max_bytes,
            asked_digest=row.asked_digest,
            last=last,
        )

    async def receive(self, claim: Claim, content: AsyncIterator[bytes], *, is_last: bool) -> None:
        """Store what is sent, and join all pieces if that was the rest of the file.

        Args:
            is_last: whether the sender says so; the size of the whole says it too, where it is known.

        Raises:
            UploadTakenOver: by another request; what this one had stored before stays.
            QuotaExceeded: the tenant has no room for more; likewise.
            TooLarge, UploadStalled, MalformedRequest: the body is too long, or broke off; likewise.
            UploadIncomplete: more was announced than there is; likewise.
            DigestMismatch, InvalidInput: the whole is not what was announced, or empty.
        """
        incoming = Incoming(content, most_bytes=claim.most_bytes - claim.offset)
        while await incoming.has_more():
            claim = await self._store(claim, incoming)
        if incoming.failure is not None:
            raise incoming.failure
        if is_last or claim.offset == claim.size_bytes:
            await self._complete(claim)

    async def _short_piece(self, session: AsyncSession, upload_id: UUID) -> Piece | None:
        query = select(PieceRow).where(PieceRow.upload_id == upload_id).order_by(PieceRow.start.desc())
        row = await session.scalar(query.limit(1))
        return _piece(row) if row is not None and row.size_bytes < self._piece_bytes else None

    async def _store(self, claim: Claim, incoming: Incoming) -> Claim:
        """One more piece; the claim as it stands then."""
        start = claim.last.start if claim.last else claim.offset
        key = new_piece_key(claim.upload_id, start)
        content = self._piece_content(claim, incoming)
        async with self._as_long_as_held(claim):
            written = await self._storage.write(key, content, max_bytes=self._piece_bytes)
        piece = Piece(start, written.size_bytes, key)
        try:
            await self._record(claim, piece)
        except (UploadTakenOver, QuotaExceeded):
            await self._storage.delete(key)
            raise
        if claim.last:
            await self._storage.delete(claim.last.key)
        last = piece if piece.size_bytes < self._piece_bytes else None
        return msgspec.structs.replace(claim, offset=start + piece.size_bytes, last=last)

    async def _piece_content(self, claim: Claim, incoming: Incoming) -> AsyncIterator[bytes]:
        taken_up = claim.last.size_bytes if claim.last else 0
        if claim.last:
            async for content in self._storage.read(claim.last.key):
                yield content
        async for content in incoming.piece(self._piece_bytes - taken_up):
            yield content

    async def _record(self, claim: Claim, piece: Piece) -> None:
        values = {"size_bytes": piece.size_bytes, "key": piece.key}
        row = insert(PieceRow).values(upload_id=claim.upload_id, start=piece.start, **values)
        async with self._database.transaction() as session:
            await self._make_room(session, claim, piece)
            await self._update(session, claim, offset_bytes=piece.start + piece.size_bytes)
            await session.execute(
                row.on_conflict_do_update(index_elements=[PieceRow.upload_id, PieceRow.start], set_=values)
            )

    async def _make_room(self, session: AsyncSession, claim: Claim, piece: Piece) -> None:
        """Of an upload whose size is not known each piece asks; another has asked when it began."""
        if claim.size_bytes is None:
            more = piece.start + piece.size_bytes - claim.offset
            quota, settings = Quota.STORAGE_BYTES, self._settings
            await require_room(session, claim.tenant_id, quota, settings=settings, more=more)

    async def _complete(self, claim: Claim) -> None:
        """Join the pieces. Safe to repeat: a join that nobody recorded is nobody's."""
        if claim.size_bytes not in (None, claim.offset):
            raise UploadIncomplete(f"{claim.offset} of the {claim.size_bytes} bytes announced are there")
        if not claim.offset:
            raise InvalidInput("the upload is empty: send the file's bytes first")
        key = new_whole_key(claim.upload_id)
        async with self._as_long_as_held(claim):
            written = await self._joined(await self._pieces(claim), key)
        try:
            _verify(claim, written)
            await self._publish(claim, key, written)
        except (DigestMismatch, UploadTakenOver):
            await self._storage.delete(key)
            raise
        await self._storage.delete_under(upload_folder(claim.upload_id), spare={key}.__contains__)

    async def _pieces(self, claim: Claim) -> list[Piece]:
        query = select(PieceRow).where(PieceRow.upload_id == claim.upload_id).order_by(PieceRow.start)
        async with self._database.transaction() as session:
            return [_piece(row) for row in await session.scalars(query)]

    async def _joined(self, pieces: Sequence[Piece], key: str) -> Written:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _join, self._storage, pieces, key)

    async def _publish(self, claim: Claim, key: str, written: Written) -> None:
        async with self._database.transaction() as session:
            await self._update(session, claim, key=key, digest=written.digest, size_bytes=written.size_bytes)
            await session.execute(delete(PieceRow).where(PieceRow.upload_id == claim.upload_id))
            await note_upload(session, await session.get_one(UploadRow, claim.upload_id), "upload.complete")

    @asynccontextmanager
    async def _as_long_as_held(self, claim: Claim) -> AsyncIterator[None]:
        """Whoever took the upload over removes pieces that are read here: then that is what went wrong."""
        try:
            yield
        except (ObjectMissing, StorageAway, OSError):
            async with self._database.transaction() as session:
                await self._update(session, claim)
            raise

    async def _update(self, session: AsyncSession, claim: Claim, **values: object) -> None:
        """Change the row, unless another request has the upload now."""
        is_ours = (UploadRow.id == claim.upload_id, UploadRow.fence == claim.fence)
        found = await session.scalar(
            update(UploadRow)
            .where(*is_ours, UploadRow.ended_at.is_(None))
            .values(expires_at=expiry(self._settings.upload_ttl_s), **values)
            .returning(UploadRow.id)
        )
        if found is None:
            raise UploadTakenOver


def _join(storage: Storage, pieces: Sequence[Piece], key: str) -> Written:
    with storage.writer(key) as sink:
        for piece in pieces:
            with storage.reader(piece.key) as source:
                shutil.copyfileobj(source, sink, STORE_BYTES)
    return sink.written()


def _piece(row: PieceRow) -> Piece:
    return Piece(row.start, row.size_bytes, row.key)


def _verify(claim: Claim, written: Written) -> None:
    if claim.asked_digest not in (None, written.digest):
        raise DigestMismatch(
            f"the bytes that arrived have the SHA-256 {written.digest}, and not {claim.asked_digest}, as was"
            " announced: delete the upload and send the file anew"
        )
