"""Schedules of organisations that have ended."""

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access.dissolution import dissolved
from shared.schedules.tables import ScheduleRow


async def remove_schedules_of_dissolved(session: AsyncSession) -> None:
    """Remove them all: none has many."""
    await session.execute(delete(ScheduleRow).where(ScheduleRow.tenant_id.in_(dissolved())))
