"""Removing what has been kept for long enough: the only way that anything leaves the audit log."""

from datetime import timedelta
from typing import Any, Final, cast

from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.audit.tables import AuditRow

MOST_REMOVED: Final = 5000  # at a time, the work of a second or so

_SETTING: Final = "modelyard.audit_retention"  # the trigger of the table looks for it


async def forget_old_acts(session: AsyncSession, *, days: int) -> int:
    """Remove what is older than that many days by the database's clock, a bounded number; how many.

    Args:
        days: 0: nothing.
    """
    if not days:
        return 0
    await allow_removal(session)
    old = (
        select(AuditRow.id)
        .where(AuditRow.at < func.now() - timedelta(days=days))
        .order_by(AuditRow.at)
        .limit(MOST_REMOVED)
    )
    removed = await session.execute(delete(AuditRow).where(AuditRow.id.in_(old)))
    return cast("CursorResult[Any]", removed).rowcount


async def allow_removal(session: AsyncSession) -> None:
    """Let this transaction, and no other, remove rows of the audit log."""
    await session.execute(select(func.set_config(_SETTING, "on", True)))
