"""Schedules as the audit log tells of them."""

from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.audit.actor import Target
from shared.audit.log import record_audit
from shared.audit.state import changes
from shared.schedules.lookup import timing_of
from shared.schedules.tables import ScheduleRow


def stated(row: ScheduleRow) -> dict[str, Any]:
    """What can be changed of a schedule; of its job only the model, as its input may hold secrets."""
    timing = msgspec.structs.asdict(timing_of(row))
    return {
        "name": row.name,
        "enabled": row.enabled,
        "overlap": row.overlap,
        "model": row.job_shown.get("model"),
        **timing,
    }


async def note_schedule(
    session: AsyncSession,
    row: ScheduleRow,
    action: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write down what was done to a schedule: of two states what differs."""
    if before is not None and after is not None:
        before, after = changes(before, after)
    target = Target(type="schedule", id=row.id, name=row.name)
    await record_audit(
        session, action=action, target=target, before=before, after=after, tenant_id=row.tenant_id
    )
