"""Jobs of organisations that have ended: those that run are cancelled, then all are deleted."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.hints import Hint
from shared.jobs.job import JobStatus
from shared.jobs.tables import JobRow
from shared.messaging.actors import FINISH_JOB

_MOST: Final = 500  # at a time


async def delete_jobs_of_dissolved(session: AsyncSession, tenants: Sequence[UUID]) -> list[Hint]:
    """Hide some that have ended. Workers remove their files, and then they are gone.

    Returns:
        What to send after the commit; what is lost of it is asked for again as any sweeping is.
    """
    ended = _some(tenants, JobRow.ended_at.is_not(None), JobRow.deleted_at.is_(None))
    deleted = await session.scalars(
        update(JobRow)
        .where(JobRow.id.in_(ended))
        .values(
            deleted_at=func.now(), swept_at=None, sent_at=func.now(), client_id=None, idempotency_key=None
        )
        .returning(JobRow.id)
    )
    return [(FINISH_JOB, (job_id,)) for job_id in deleted]


async def cancel_jobs_of_dissolved(session: AsyncSession, tenants: Sequence[UUID]) -> list[UUID]:
    """Cancel some that have not ended; whoever follows one is to hear of it. No event tells: to whom?"""
    now = func.now()
    cancelled = await session.scalars(
        update(JobRow)
        .where(JobRow.id.in_(_some(tenants, JobRow.ended_at.is_(None))))
        .values(status=JobStatus.CANCELLED, cancelled_at=now, ended_at=now, attempts=0, lease_until=None)
        .returning(JobRow.id)
    )
    return list(cancelled)


def _some(tenants: Sequence[UUID], *which: ColumnElement[bool]) -> Select[UUID]:
    found = select(JobRow.id).where(JobRow.tenant_id.in_(tenants), *which)
    return found.limit(_MOST).with_for_update(skip_locked=True)
