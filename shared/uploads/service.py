"""Uploads: files for jobs, sent in as many requests as it takes."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.grants import confined_caller
from shared.database.engine import Database
from shared.database.now import database_now
from shared.database.tenant_lock import lock_tenant
from shared.errors import TooLarge
from shared.quotas.holdings import held
from shared.quotas.limits import limit_of, require_room
from shared.quotas.quota import Quota
from shared.settings import Settings
from shared.storage.store import Storage
from shared.uploads.acts import note_upload
from shared.uploads.errors import TooManyUploads, UploadIncomplete
from shared.uploads.lookup import expiry, find_upload, uploads_of
from shared.uploads.reception import PIECE_BYTES, Claim, Reception
from shared.uploads.tables import UploadRow

DEFAULT_FILE_NAME = "upload"


class UploadedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was uploaded, where it was copied to. Digest: SHA-256, hexadecimal."""

    key: str
    name: str
    size_bytes: int
    digest: str


class Uploads:
    """What the API does with uploads. `upload` is what the path calls one: its id."""

    def __init__(
        self, settings: Settings, database: Database, storage: Storage, *, piece_bytes: int = PIECE_BYTES
    ) -> None:
        self._settings, self._database, self._storage = settings, database, storage
        self._reception = Reception(settings, database, storage, piece_bytes=piece_bytes)

    def close(self) -> None:
        """Begin nothing more."""
        self._reception.close()

    async def create(
        self, tenant_id: UUID, *, file_name: str, size_bytes: int | None, digest: str | None
    ) -> UploadRow:
        """Begin an upload.

        Args:
            size_bytes: of the whole file, if it is known.
            digest: SHA-256 of the whole file in hexadecimal, to be compared at its end.

        Raises:
            TooLarge: it is more than a job's file may have.
            TooManyUploads: the tenant has as many as it may.
            QuotaExceeded: there is no room for its bytes.
        """
        if (size_bytes or 0) > self._settings.job_max_bytes:
            raise TooLarge(
                f"the file has {size_bytes} bytes; up to {self._settings.job_max_bytes} are allowed"
            )
        async with self._database.transaction() as session:
            await self._make_room(session, tenant_id, size_bytes or 0)
            ttl = timedelta(seconds=self._settings.upload_ttl_s)
            row = UploadRow(
                tenant_id=tenant_id,
                key_id=None if (confined := confined_caller()) is None else confined.key_id,
                file_name=file_name or DEFAULT_FILE_NAME,
                size_bytes=size_bytes,
                asked_digest=digest,
                expires_at=await database_now(session) + ttl,
            )
            session.add(row)
            await session.flush()
            await note_upload(session, row, "upload.create")
        return row

    async def get(self, tenant_id: UUID, upload: str) -> UploadRow:
        """One upload.

        Raises:
            UploadNotFound: no such upload, one that has expired, or another tenant's.
        """
        async with self._database.transaction() as session:
            return await find_upload(session, tenant_id, upload)

    async def list_uploads(self, tenant_id: UUID, *, before: UUID | None, limit: int) -> list[UploadRow]:
        """The newest first, begun before the one with the id `before`; one more than `limit` if there is."""
        query = uploads_of(tenant_id)
        if before is not None:
            query = query.where(UploadRow.id < before)
        async with self._database.transaction() as session:
            return list(await session.scalars(query.order_by(UploadRow.id.desc()).limit(limit + 1)))

    async def claim(self, tenant_id: UUID, upload: str, *, offset: int) -> Claim:
        """Take an upload over, to go on at `offset`.

        Raises:
            UploadNotFound, OffsetMismatch, UploadComplete: it cannot go on there.
        """
        return await self._reception.claim(tenant_id, upload, offset=offset)

    async def receive(self, claim: Claim, content: AsyncIterator[bytes], *, is_last: bool) -> None:
        """Add to an upload; see `Reception.receive` for what can go wrong."""
        await self._reception.receive(claim, content, is_last=is_last)

    async def abandon(self, tenant_id: UUID, upload: str) -> None:
        """Forget an upload. What lies in storage goes a while later, when nobody can be writing any more.

        Raises:
            UploadNotFound: no such upload, one that has expired, or another tenant's.
        """
        async with self._database.transaction() as session:
            row = await find_upload(session, tenant_id, upload, lock=True)
            await session.execute(update(UploadRow).where(UploadRow.id == row.id).values(ended_at=func.now()))
            await note_upload(session, row, "upload.delete")

    async def take(self, tenant_id: UUID, upload: UUID | str, *, key: str) -> UploadedFile:
        """Copy a complete upload to `key`. It stays, and can be taken again until it expires.

        Raises:
            UploadNotFound: no such upload, one that has expired, or another tenant's.
            UploadIncomplete: not all of it is there.
        """
        async with self._database.transaction() as session:
            row = await find_upload(session, tenant_id, upload, lock=True)
            if row.key is None or row.digest is None or row.size_bytes is None:
                raise UploadIncomplete(_missing(row))
            row.expires_at = expiry(self._settings.upload_ttl_s)
        await self._storage.copy(row.key, key)
        return UploadedFile(key=key, name=row.file_name, size_bytes=row.size_bytes, digest=row.digest)

    async def _make_room(self, session: AsyncSession, tenant_id: UUID, size_bytes: int) -> None:
        await lock_tenant(session, tenant_id)
        await require_room(session, tenant_id, Quota.STORAGE_BYTES, settings=self._settings, more=size_bytes)
        most = await limit_of(session, tenant_id, Quota.UPLOADS, settings=self._settings)
        if most and await held(session, tenant_id, Quota.UPLOADS) >= most:
            raise TooManyUploads(
                f"there are {most} uploads, complete ones included, which is the most: delete one"
            )


def _missing(row: UploadRow) -> str:
    of_all = "" if row.size_bytes is None else f" of {row.size_bytes}"
    return (
        f"the upload {str(row.id)!r} is not complete: {row.offset_bytes}{of_all} bytes are there; send the"
        " rest, the last request with `Upload-Complete: ?1`"
    )
