"""The parts of a job before the first chunk that is not done: they stand as they will in its result."""

from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.job import ChunkStatus, RowCounts
from shared.jobs.outcomes import ErrorsPart, errors_of
from shared.jobs.tables import ChunkRow


class Piece(msgspec.Struct, frozen=True):
    """An object in storage that is a stretch of a file."""

    key: str
    size_bytes: int


class LeadingParts(msgspec.Struct, frozen=True):
    """Parts in the order of the input, the errors beside them, and how many rows they are of."""

    parts: list[Piece]
    errors: list[ErrorsPart]
    rows: RowCounts

    def keys(self) -> list[str]:
        """Of the parts."""
        return [part.key for part in self.parts]


async def leading_parts(session: AsyncSession, job_id: UUID) -> LeadingParts:
    """Those of the job that are there now. There will only be more."""
    first_undone = (
        select(func.min(ChunkRow.index))
        .where(ChunkRow.job_id == job_id, ChunkRow.status != ChunkStatus.DONE)
        .scalar_subquery()
    )
    query = select(ChunkRow).where(ChunkRow.job_id == job_id, ChunkRow.part_key.is_not(None))
    before = ChunkRow.index < func.coalesce(first_undone, ChunkRow.index + 1)
    chunks = (await session.scalars(query.where(before).order_by(ChunkRow.index))).all()
    parts = [Piece(chunk.part_key or "", chunk.part_size_bytes or 0) for chunk in chunks]
    done, failed = sum(chunk.rows_done for chunk in chunks), sum(chunk.rows_failed for chunk in chunks)
    return LeadingParts(parts, errors_of(chunks), RowCounts(done, failed))
