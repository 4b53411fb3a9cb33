"""Whether a tenant has room for what it uploads."""

from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.catalog.lookup import is_called
from shared.catalog.tables import ModelRow
from shared.catalog.upload import Upload
from shared.quotas.limits import require_room
from shared.quotas.quota import Quota
from shared.settings import Settings


async def take_room(session: AsyncSession, tenant_id: UUID, upload: Upload, *, settings: Settings) -> None:
    """Let the tenant have one more version, and its model if that is new, which the same transaction adds.

    Raises:
        QuotaExceeded: there is no room.
    """
    size_bytes = upload.size_bytes
    await require_room(session, tenant_id, Quota.STORAGE_BYTES, settings=settings, more=size_bytes)
    await require_room(session, tenant_id, Quota.VERSIONS, settings=settings)
    is_known = exists().where(ModelRow.tenant_id == tenant_id, is_called(upload.model))
    if not await session.scalar(select(is_known)):
        await require_room(session, tenant_id, Quota.MODELS, settings=settings)
