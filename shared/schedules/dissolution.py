"""Schedules of organisations that have ended."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from shared.schedules.tables import ScheduleRow


async def remove_schedules_of_dissolved(session: AsyncSession, tenants: Sequence[UUID]) -> None:
    """Remove them all: none has many."""
    await session.execute(delete(ScheduleRow).where(ScheduleRow.tenant_id.in_(tenants)))
