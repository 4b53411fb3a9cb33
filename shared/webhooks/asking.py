"""Which deliveries a message should ask for: those that are due, of every tenant and receiver some.

Both questions go from receiver to receiver by the index of what waits, and look at the first few of each: a
receiver for which a hundred thousand wait costs no more than another.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.settings import Settings
from shared.webhooks.delivery import Attempt
from shared.webhooks.tables import DeliveryRow

MAX_DUE = 500  # deliveries that one round of the scheduler asks for
MAX_DUE_OF_TENANT = 50  # of these of one tenant; whoever has sent one goes on with the next

# Each tenant's are ranked: the first of every receiver, then every second, and so on.
_DUE = text("""
    WITH RECURSIVE targets AS (
        (SELECT tenant_id, target FROM deliveries WHERE status = 'pending'
         ORDER BY tenant_id, target LIMIT 1)
        UNION ALL
        SELECT following.* FROM targets, LATERAL (
            SELECT tenant_id, target FROM deliveries
            WHERE status = 'pending' AND (tenant_id, target) > (targets.tenant_id, targets.target)
            ORDER BY tenant_id, target LIMIT 1
        ) AS following
    ), ranked AS (
        SELECT first.*, row_number() OVER (PARTITION BY tenant_id ORDER BY place, next_attempt_at) AS rank
        FROM targets, LATERAL (
            SELECT id, next_attempt_at, row_number() OVER (ORDER BY next_attempt_at) AS place
            FROM (
                SELECT id, next_attempt_at FROM deliveries
                WHERE status = 'pending' AND tenant_id = targets.tenant_id AND target = targets.target
                    AND next_attempt_at <= now() AND coalesce(lease_until <= now(), true)
                    AND (
                        sent_at < greatest(next_attempt_at, lease_until)
                        OR sent_at < now() - make_interval(secs => :resend_after_s)
                    )
                ORDER BY next_attempt_at LIMIT :at_once
            ) AS waiting
        ) AS first
        WHERE NOT EXISTS (
            SELECT FROM webhook_circuits AS circuit
            WHERE circuit.tenant_id = targets.tenant_id AND circuit.target = targets.target
                AND circuit.open_until > now()
        )
    )
    SELECT id FROM ranked WHERE rank <= :most_of_tenant ORDER BY rank, next_attempt_at LIMIT :most
""")

# Those that were refused an attempt when a message asked for them: of the same receiver, or else another.
_NEXT = text("""
    WITH RECURSIVE targets AS (
        SELECT min(target) AS target FROM deliveries WHERE status = 'pending' AND tenant_id = :tenant_id
        UNION ALL
        SELECT (
            SELECT min(target) FROM deliveries
            WHERE status = 'pending' AND tenant_id = :tenant_id AND target > targets.target
        ) FROM targets WHERE target IS NOT NULL
    )
    SELECT first.id FROM targets, LATERAL (
        SELECT id, next_attempt_at FROM deliveries
        WHERE status = 'pending' AND tenant_id = :tenant_id AND target = targets.target
            AND next_attempt_at <= now() AND sent_at < next_attempt_at AND lease_until IS NULL
        ORDER BY next_attempt_at LIMIT 1
    ) AS first
    WHERE NOT EXISTS (
        SELECT FROM webhook_circuits AS circuit
        WHERE circuit.tenant_id = :tenant_id AND circuit.target = targets.target
            AND circuit.open_until > now()
    ) AND target NOT IN (
        SELECT target FROM deliveries
        WHERE status = 'pending' AND tenant_id = :tenant_id AND lease_until > now()
        GROUP BY target HAVING count(*) >= :at_once
    )
    ORDER BY target = :target DESC, next_attempt_at LIMIT 1
""")


async def due_deliveries(session: AsyncSession, settings: Settings) -> list[UUID]:
    """The deliveries to ask for now, noted as asked for. Send `DELIVER` for each after the commit.

    Due are those whose time has come or whose worker's lease ran out, unless a message asked since;
    and those that a message asked for a while ago without effect. Of one receiver there are never more than
    may be sent at once, and none while it is left alone: one that hangs must not fill the queue.
    """
    found = await session.scalars(
        _DUE,
        {
            "resend_after_s": settings.resend_after_s,
            "at_once": settings.webhook_attempts_per_endpoint,
            "most_of_tenant": MAX_DUE_OF_TENANT,
            "most": MAX_DUE,
        },
    )
    free = select(DeliveryRow.id).where(DeliveryRow.id.in_(found.all())).with_for_update(skip_locked=True)
    return await _note_asked(session, (await session.scalars(free)).all())


async def next_in_turn(session: AsyncSession, attempt: Attempt, settings: Settings) -> list[UUID]:
    """What the place of an attempt that has ended goes to, noted as asked for; none, or one.

    In the transaction that records the outcome: it holds the lock by which no other chooses the same.
    """
    found = await session.scalars(
        _NEXT,
        {
            "tenant_id": attempt.tenant_id,
            "target": attempt.target,
            "at_once": settings.webhook_attempts_per_endpoint,
        },
    )
    return await _note_asked(session, found.all())


async def _note_asked(session: AsyncSession, ids: Sequence[UUID]) -> list[UUID]:
    if ids:
        asked = update(DeliveryRow).where(DeliveryRow.id.in_(ids)).values(sent_at=text("now()"))
        await session.execute(asked)
    return list(ids)
