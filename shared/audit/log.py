"""Writing the audit log: in the transaction of what it tells of, so that neither exists without the other."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ScalarSelect, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import get_contextvars

from shared.access.acting import Acting, acting
from shared.access.tables import ApiKeyRow, User
from shared.audit.actor import SYSTEM, Actor, ActorType, Target
from shared.audit.state import kept_state
from shared.audit.tables import AuditRow

MOST_FAILURES: Final = 20  # of one kind at one target that are written down within FAILURES_WITHIN
FAILURES_WITHIN: Final = timedelta(hours=1)


async def record_audit(
    session: AsyncSession,
    *,
    action: str,
    target: Target,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    tenant_id: UUID | None = None,
    actor: Actor | None = None,
) -> None:
    """Note what the transaction does. Once it is committed, nobody can change the note.

    Args:
        action: what was done, `noun.verb`; docs/reference/audit-log.md lists every one.
        before: what is changed of the target, as it was; for a target that goes, what is worth knowing of it.
        after: the same as it is now. No secrets: names that sound like one are left out all the same.
        tenant_id: whose log it is; the caller's own where there is one and none is given.
        actor: the caller, or the platform where there is none; given where it is not so, as at a log-in.
    """
    now = acting()
    who = actor or _present_actor(now, action)
    await session.execute(
        insert(AuditRow).values(
            tenant_id=tenant_id or _present_tenant(now, action),
            action=action,
            actor_type=who.type,
            actor_id=who.id,
            actor_name=who.name or _name(who),
            address=None if now is None else now.address,
            request_id=get_contextvars().get("request_id"),
            target_type=target.type,
            target_id=None if target.id is None else str(target.id),
            target_name=target.name,
            before=kept_state(before),
            after=kept_state(after),
        )
    )


async def record_failure(
    session: AsyncSession, *, action: str, target: Target, tenant_id: UUID, actor: Actor
) -> None:
    """The same of something that was refused and may be tried without end: at most MOST_FAILURES an hour.

    Of two at the same time both may be the last: it is a bound and no count.
    """
    query = (
        select(func.count())
        .select_from(AuditRow)
        .where(AuditRow.tenant_id == tenant_id, AuditRow.action == action)
        .where(AuditRow.target_id == str(target.id), AuditRow.at > func.now() - FAILURES_WITHIN)
    )
    written = await session.scalar(query) or 0
    if written >= MOST_FAILURES:
        return
    is_last = written == MOST_FAILURES - 1
    after = {"further": "not written down for up to an hour"} if is_last else None
    await record_audit(session, action=action, target=target, after=after, tenant_id=tenant_id, actor=actor)


def _present_tenant(now: Acting | None, action: str) -> UUID:
    if now is None or now.caller is None:
        raise LookupError(f"nobody acts here, so that {action} has to say whose log it belongs to")
    return now.caller.tenant_id


def _present_actor(now: Acting | None, action: str) -> Actor:
    if now is None:
        return SYSTEM
    if now.caller is None:
        raise LookupError(f"anybody may ask for {action}, so that it has to say who did")
    return Actor.of(now.caller)


def _name(who: Actor) -> "ScalarSelect[str] | None":
    """What the actor is called, to be looked up by the same statement."""
    match who.type:
        case ActorType.USER:
            return select(User.email).where(User.id == who.id).scalar_subquery()
        case ActorType.KEY:
            return select(ApiKeyRow.name).where(ApiKeyRow.id == who.id).scalar_subquery()
        case ActorType.SYSTEM | ActorType.ANONYMOUS:
            return None
