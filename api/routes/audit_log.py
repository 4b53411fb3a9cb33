"""The audit log: who did what, when and from where."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.openapi import answers
from api.paging import DEFAULT_LIMIT, Page, PageCursor, PageLimit, from_cursor, to_page
from api.permissions import needs
from shared.access.caller import Caller
from shared.access.permissions import Scope
from shared.audit.lookup import AuditFilter, AuditView, list_acts
from shared.database.engine import Database

Action = Annotated[
    str | None,
    QueryParameter(
        max_length=100,
        pattern=r"^[a-z_]+\.[a-z_]*$",
        description="Only these: `model.promote`; with a dot at its end all of that kind: `model.`",
    ),
]
Since = Annotated[datetime | None, QueryParameter(description="Not before. Without a zone: UTC.")]
Until = Annotated[datetime | None, QueryParameter(description="Only before. Without a zone: UTC.")]


@get("/", status_code=200, responses=answers(400, 401, 422))
async def list_audit_log(
    *,
    caller: NamedDependency[Caller],
    database: NamedDependency[Database],
    action: Action = None,
    actor: Annotated[UUID | None, QueryParameter(description="Id of a user or an API key.")] = None,
    target: Annotated[UUID | None, QueryParameter(description="Id of what it was done to.")] = None,
    since: Since = None,
    until: Until = None,
    cursor: PageCursor = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[AuditView]:
    """What was done to the caller's things, the newest first, and by whom.

    Nobody can change or remove what is written here; after a year, unless the operator says otherwise, it
    goes by itself.
    """
    wanted = AuditFilter(
        action=action,
        actor=actor,
        target=target,
        since=_aware(since),
        until=_aware(until),
        before=from_cursor(cursor, UUID),
    )
    async with database.transaction() as session:
        found = await list_acts(session, caller.tenant_id, wanted, limit=limit + 1)
    return to_page(found, limit, item=lambda view: view, cursor=lambda view: view.id)


def _aware(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


audit_log_routes = Router(
    "/audit-log", route_handlers=[list_audit_log], opt=needs(Scope.ADMIN), tags=["Accounts"]
)
