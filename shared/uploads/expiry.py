"""The end of uploads: those that make no progress expire, and what is left of ended ones is removed.

Whatever an upload ever had in storage lies in its folder, also what a crash has kept from the tables. The
folder goes first and the row after it, so that no crash leaves a folder without a row.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select, update

from shared.database.engine import Database
from shared.storage.store import Storage
from shared.uploads.keys import upload_folder
from shared.uploads.tables import UploadRow

# In less a request has stored its last piece (see `incoming`) or joined all, and learnt that it is over.
WRITERS_ARE_GONE_AFTER: Final = timedelta(hours=1)
_MOST = 100  # at a time


async def remove_old_uploads(database: Database, storage: Storage) -> None:
    """End the uploads that have expired, and remove those that ended a while ago. Safe to run twice."""
    async with database.transaction() as session:
        await session.execute(
            update(UploadRow)
            .where(UploadRow.ended_at.is_(None), UploadRow.expires_at <= func.now())
            .values(ended_at=func.now())
        )
        settled = UploadRow.ended_at < func.now() - WRITERS_ARE_GONE_AFTER
        query = select(UploadRow.id).where(settled).order_by(UploadRow.ended_at).limit(_MOST)
        ended = list(await session.scalars(query))
    for upload_id in ended:
        await _remove(database, storage, upload_id)


async def _remove(database: Database, storage: Storage, upload_id: UUID) -> None:
    await storage.delete_folder(upload_folder(upload_id))
    async with database.transaction() as session:
        await session.execute(delete(UploadRow).where(UploadRow.id == upload_id))
