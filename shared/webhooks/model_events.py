"""Events about versions of models: that one can serve, was refused, or crashes again and again."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.catalog.tables import ModelRow, VersionRow
from shared.catalog.version import VersionStatus
from shared.webhooks.publishing import publish_event

_EVENTS = {
    VersionStatus.READY: "model.ready",
    VersionStatus.REJECTED: "model.rejected",
    VersionStatus.DEGRADED: "model.degraded",
}


async def tell_version(session: AsyncSession, version_id: UUID) -> None:
    """Record what has become of a version, in the transaction in which it happens. The scheduler sends it."""
    found = await session.execute(
        select(ModelRow, VersionRow)
        .join(ModelRow, ModelRow.id == VersionRow.model_id)
        .where(VersionRow.id == version_id)
        .execution_options(populate_existing=True)
    )
    row = found.one_or_none()
    if row is None or row[1].status not in _EVENTS:
        return
    model, version = row
    verdict = version.verdict or {}
    await publish_event(
        session,
        tenant_id=model.tenant_id,
        event_type=_EVENTS[VersionStatus(version.status)],
        data={
            "model": {"id": str(model.id), "name": model.name},
            "version": {"id": str(version.id), "number": version.number, "status": version.status},
            "serving": model.current_version_id == version.id,
            "reason": verdict.get("reason"),
            "told": verdict.get("told"),
        },
        sends_messages=False,
    )
