"""The uploads that there are, as their tenant sees them."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.grants import confined_caller
from shared.ids import parse_id
from shared.uploads.errors import UploadNotFound
from shared.uploads.tables import UploadRow


def is_open() -> ColumnElement[bool]:
    """Neither abandoned nor expired, by the database's clock."""
    return and_(UploadRow.ended_at.is_(None), UploadRow.expires_at > func.now())


def uploads_of(tenant_id: UUID) -> Select[UploadRow]:
    """All of one tenant; a key that is confined to some models has those that it has begun.

    Nobody can tell for which model a file is meant before it is used.
    """
    query = select(UploadRow).where(UploadRow.tenant_id == tenant_id, is_open())
    caller = confined_caller()
    return query if caller is None else query.where(UploadRow.key_id == caller.key_id)


async def find_upload(
    session: AsyncSession, tenant_id: UUID, upload: UUID | str, *, lock: bool = False
) -> UploadRow:
    """The upload with that id.

    Args:
        lock: hold its row until the transaction ends.

    Raises:
        UploadNotFound: no such upload, one that has expired, or another tenant's.
    """
    upload_id = parse_id(upload) if isinstance(upload, str) else upload
    query = uploads_of(tenant_id).where(UploadRow.id == upload_id)
    row = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise UploadNotFound(upload)
    return row


def expiry(ttl_s: float) -> ColumnElement[datetime]:
    """When an upload expires that has just made progress."""
    return func.now() + timedelta(seconds=ttl_s)
