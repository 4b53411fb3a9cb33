"""The one clock that leases and schedules go by."""

from datetime import datetime
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


async def database_now(session: AsyncSession) -> datetime:
    """When the transaction began, by the database's clock."""
    return cast("datetime", await session.scalar(select(func.now())))
