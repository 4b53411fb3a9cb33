"""Which models and versions unfinished jobs still need."""

from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.tables import JobRow


async def jobs_needing_model(session: AsyncSession, model_id: UUID) -> int:
    """How many unfinished jobs predict with any version of the model."""
    return await _unfinished(session, JobRow.model_id == model_id)


async def jobs_needing_version(session: AsyncSession, version_id: UUID) -> int:
    """How many unfinished jobs predict with the version."""
    return await _unfinished(session, JobRow.version_id == version_id)


async def _unfinished(session: AsyncSession, condition: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(JobRow).where(condition, JobRow.ended_at.is_(None))
    return await session.scalar(query) or 0
