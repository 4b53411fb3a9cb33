"""Webhooks as the audit log tells of them: of a URL only the host, as its path may be a secret."""

from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from shared.audit.actor import Target
from shared.audit.log import record_audit
from shared.audit.state import HIDDEN, changes
from shared.outbound.web_address import host_of
from shared.webhooks.tables import EndpointRow

States = dict[str, Any]


def stated(endpoint: EndpointRow) -> States:
    """What can be changed of a webhook, its URL for comparison alone."""
    return {
        "url": endpoint.url,
        "events": endpoint.events,
        "description": endpoint.description,
        "enabled": endpoint.enabled,
    }


async def note_webhook(
    session: AsyncSession,
    endpoint: EndpointRow,
    action: str,
    *,
    before: States | None = None,
    after: States | None = None,
) -> None:
    """Write down what was done to a webhook: of two states what differs."""
    if before is not None and after is not None:
        before, after = changes(before, after)
    target = Target(type="webhook", id=endpoint.id, name=host_of(httpx.URL(endpoint.url)))
    await record_audit(
        session,
        action=action,
        target=target,
        before=_kept(before),
        after=_kept(after),
        tenant_id=endpoint.tenant_id,
    )


def _kept(state: States | None) -> States | None:
    """The state without its URL, which is seen to have changed all the same."""
    if state is None or "url" not in state:
        return state
    return {**state, "url": HIDDEN, "host": host_of(httpx.URL(state["url"]))}
