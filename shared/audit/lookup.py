"""Reading the audit log of a tenant."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.audit.tables import AuditRow


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which acts are wanted; None: any.

    Attributes:
        action: the whole of it, or its noun with a dot at the end: `model.` is all that befell models.
        actor: the id of a user or an API key.
        target: the id of what it was done to.
        since: at this time or later.
        until: before this time.
        before: written before the act with this id.
    """

    action: str | None = None
    actor: UUID | None = None
    target: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None


class ActorView(msgspec.Struct, frozen=True, kw_only=True):
    """Who did it, by the name of that time: a `user`, an API `key`, the `system` itself, or `anonymous`."""

    type: str
    id: UUID | None
    name: str | None


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """What it was done to, by the name of that time."""

    type: str
    id: str | None
    name: str | None


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """One act.

    Attributes:
        address: of the client; null for what the platform did by itself.
        request_id: the `X-Request-Id` of the request that did it.
        before: what of the target was changed, as it was; null where there is nothing to tell.
        after: the same as it was then.
    """

    id: UUID
    at: datetime
    action: str
    actor: ActorView
    address: str | None
    request_id: str | None
    target: TargetView
    before: dict[str, Any] | None
    after: dict[str, Any] | None


async def list_acts(
    session: AsyncSession, tenant_id: UUID, wanted: AuditFilter, *, limit: int
) -> list[AuditView]:
    """Up to `limit` of what was done in the tenant, the newest first."""
    query = select(AuditRow).where(AuditRow.tenant_id == tenant_id, *_conditions(wanted))
    rows = await session.scalars(query.order_by(AuditRow.id.desc()).limit(limit))
    return [_view(row) for row in rows]


def _conditions(wanted: AuditFilter) -> Sequence[ColumnElement[bool]]:
    conditions = {
        "actor": lambda actor: AuditRow.actor_id == actor,
        "target": lambda target: AuditRow.target_id == str(target),
        "since": lambda since: AuditRow.at >= since,
        "until": lambda until: AuditRow.at < until,
        "before": lambda before: AuditRow.id < before,
        "action": _is_action,
    }
    given = ((name, getattr(wanted, name)) for name in wanted.__struct_fields__)
    return [conditions[name](value) for name, value in given if value is not None]


def _is_action(action: str) -> ColumnElement[bool]:
    return (
        AuditRow.action.startswith(action, autoescape=True)
        if action.endswith(".")
        else AuditRow.action == action
    )


def _view(row: AuditRow) -> AuditView:
    return AuditView(
        id=row.id,
        at=row.at,
        action=row.action,
        actor=ActorView(type=row.actor_type, id=row.actor_id, name=row.actor_name),
        address=row.address,
        request_id=row.request_id,
        target=TargetView(type=row.target_type, id=row.target_id, name=row.target_name),
        before=row.before,
        after=row.after,
    )
