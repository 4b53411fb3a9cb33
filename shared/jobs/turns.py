"""Whose turn it is: the chunk that a free worker runs next, over all tenants and jobs.

By priority first. Then the tenant with the fewest chunks running, of several the one whose last turn was
longest ago; and among that tenant's jobs likewise. So a job of one chunk waits for no job of thousands,
whosever that is, and with a single worker tenants take turns.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import DateTime, Integer, Select, String, Subquery, Uuid, func, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.selectable import LateralFromClause

from shared.database.tenant_lock import lock_tenant
from shared.jobs.claims import ChunkClaim, claim_chunk, is_free
from shared.jobs.job import Priority
from shared.jobs.tables import ChunkRow
from shared.settings import Settings

_LOW_EVERY, _NORMAL_EVERY = 16, 4  # turns of a worker, in which these come before what is more urgent

# Open jobs in the order of their turns, whether or not they have a chunk to run. Words stand in it rather
# than parameters where an index is of some rows alone: the planner must see that they fit.
_QUEUE = """
WITH running AS MATERIALIZED (
    SELECT jobs.tenant_id, chunks.job_id, count(*) AS chunks
    FROM chunks JOIN jobs ON jobs.id = chunks.job_id
    WHERE chunks.status = 'running' AND chunks.lease_until > now()
    GROUP BY jobs.tenant_id, chunks.job_id
), tenants AS MATERIALIZED (
    SELECT
        open.tenant_id,
        (SELECT coalesce(sum(chunks), 0) FROM running WHERE running.tenant_id = open.tenant_id) AS chunks,
        (SELECT max(jobs.claimed_at) FROM jobs WHERE jobs.tenant_id = open.tenant_id) AS claimed_at
    FROM (SELECT DISTINCT tenant_id FROM jobs WHERE ended_at IS NULL) AS open
)
SELECT
    jobs.id,
    jobs.tenant_id,
    jobs.priority,
    array_position(CAST(:priorities AS text[]), jobs.priority) AS place,
    tenants.chunks AS tenant_chunks,
    tenants.claimed_at AS tenant_claimed_at,
    coalesce(running.chunks, 0) AS job_chunks,
    jobs.claimed_at
FROM jobs
JOIN tenants ON tenants.tenant_id = jobs.tenant_id
LEFT JOIN running ON running.job_id = jobs.id
WHERE jobs.ended_at IS NULL AND jobs.status IN ('queued', 'running')
    AND jobs.priority = ANY(CAST(:priorities AS text[]))
    AND (CAST(:cap AS int) = 0 OR tenants.chunks < :cap)
ORDER BY place, tenant_chunks, tenant_claimed_at NULLS FIRST, job_chunks, claimed_at NULLS FIRST, id
"""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A job that got a turn. Claim: None where it could not use it, and another should be asked for."""

    job_id: UUID
    tenant_id: UUID
    priority: Priority
    claim: ChunkClaim | None


def in_turn(served: Collection[Priority], turn: int) -> list[Priority]:
    """The order in which a worker looks for work at its nth turn, so that nothing waits for ever.

    Of 16 turns 12 are for `high` first, 3 for `normal` and 1 for `low`; what is not there leaves its turn
    to the most urgent that is.
    """
    if turn % _LOW_EVERY == _LOW_EVERY - 1:
        first = Priority.LOW
    else:
        first = Priority.NORMAL if turn % _NORMAL_EVERY == _NORMAL_EVERY - 1 else Priority.HIGH
    return sorted((p for p in Priority if p in served), key=lambda priority: priority is not first)


async def take_turn(session: AsyncSession, order: Sequence[Priority], *, settings: Settings) -> Turn | None:
    """Claim a chunk of the job whose turn it is: one try, to be repeated in another transaction.

    Args:
        order: priorities to look for, the first first.

    Returns:
        None where nothing waits that may run now.
    """
    found = (await session.execute(_fairest(order, settings))).one_or_none()
    if found is None:
        return None
    has_room = await _has_room(session, found.tenant_id, settings)
    return Turn(
        job_id=found.id,
        tenant_id=found.tenant_id,
        priority=Priority(found.priority),
        claim=await claim_chunk(session, found.id, settings=settings) if has_room else None,
    )


async def next_of_tenant(session: AsyncSession, tenant_id: UUID, *, settings: Settings) -> Priority | None:
    """The priority of the chunk with which the tenant would use a turn now."""
    found = (await session.execute(_fairest([*Priority], settings, tenant_id=tenant_id))).one_or_none()
    return None if found is None else Priority(found.priority)


async def waiting_chunks(
    session: AsyncSession, priority: Priority, *, most: int, since_s: float, settings: Settings
) -> int:
    """How many chunks have waited for `since_s`, and may run now; counted up to `most`."""
    jobs = _queue([priority], settings)
    chunks = _free_chunks(jobs, most=most, since_s=since_s)
    some = select(jobs.c.id).join(chunks, true()).limit(most).subquery()
    return await session.scalar(select(func.count()).select_from(some)) or 0


def _fairest(
    order: Sequence[Priority], settings: Settings, *, tenant_id: UUID | None = None
) -> Select[UUID, UUID, str]:
    """The job whose turn it is: the first in the queue that has a free chunk."""
    jobs = _queue(order, settings)
    queue = (jobs.c.place, jobs.c.tenant_chunks, jobs.c.tenant_claimed_at.nulls_first())
    within = (jobs.c.job_chunks, jobs.c.claimed_at.nulls_first(), jobs.c.id)
    query = select(jobs.c.id, jobs.c.tenant_id, jobs.c.priority).join(_free_chunks(jobs, most=1), true())
    if tenant_id is not None:
        query = query.where(jobs.c.tenant_id == tenant_id)
    # The queue is in this order already: only its jobs up to the first with a chunk are looked into.
    return query.order_by(*queue, *within).limit(1)


def _queue(priorities: Sequence[Priority], settings: Settings) -> Subquery:
    return (
        text(_QUEUE)
        .bindparams(priorities=[str(p) for p in priorities], cap=settings.job_chunks_per_tenant)
        .columns(
            id=Uuid,
            tenant_id=Uuid,
            priority=String,
            place=Integer,
            tenant_chunks=Integer,
            tenant_claimed_at=DateTime,
            job_chunks=Integer,
            claimed_at=DateTime,
        )
        .subquery("queue")
    )


def _free_chunks(jobs: Subquery, *, most: int, since_s: float = 0) -> LateralFromClause:
    asked_by = func.now() - timedelta(seconds=since_s)
    return (
        select(ChunkRow.index)
        .where(ChunkRow.job_id == jobs.c.id, text("chunks.status <> 'done'"), is_free(ChunkRow.lease_until))
        .where(ChunkRow.sent_at <= asked_by)
        .limit(most)
        .correlate(jobs)
        .lateral("free")
    )


async def _has_room(session: AsyncSession, tenant_id: UUID, settings: Settings) -> bool:
    """Whether the tenant may have another chunk running, until the transaction ends."""
    if not settings.job_chunks_per_tenant:
        return True
    await lock_tenant(session, tenant_id)
    running = await session.scalar(
        text(
            "SELECT count(*) FROM chunks JOIN jobs ON jobs.id = chunks.job_id"
            " WHERE jobs.tenant_id = :tenant_id AND chunks.status = 'running' AND chunks.lease_until > now()"
        ).bindparams(tenant_id=tenant_id)
    )
    return (running or 0) < settings.job_chunks_per_tenant
