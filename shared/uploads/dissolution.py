"""Uploads of organisations that have ended."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.uploads.tables import UploadRow


async def end_uploads_of_dissolved(session: AsyncSession, tenants: Sequence[UUID]) -> None:
    """Abandon them. What is left of them goes as of any upload that ended (`expiry.py`)."""
    abandoned = UploadRow.tenant_id.in_(tenants), UploadRow.ended_at.is_(None)
    await session.execute(update(UploadRow).where(*abandoned).values(ended_at=func.now()))
