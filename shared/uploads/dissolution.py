"""Uploads of organisations that have ended."""

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.dissolution import dissolved
from shared.uploads.tables import UploadRow


async def end_uploads_of_dissolved(session: AsyncSession) -> None:
    """Abandon them. What is left of them goes as of any upload that ended (`expiry.py`)."""
    abandoned = UploadRow.tenant_id.in_(dissolved()), UploadRow.ended_at.is_(None)
    await session.execute(update(UploadRow).where(*abandoned).values(ended_at=func.now()))
