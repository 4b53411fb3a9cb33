"""The look for steps of jobs whose message or worker was lost."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.hints import Hint
from shared.jobs.job import JobStatus
from shared.jobs.tables import ChunkRow, JobRow
from shared.messaging.actors import FINISH_JOB, PLAN_JOB
from shared.settings import Settings

MAX_RESENT = 100  # messages that one look sends again


async def lost_work(session: AsyncSession, settings: Settings) -> list[Hint]:
    """Messages to send again, noted as sent.

    A job's step is asked for again when its worker's lease ran out, and when nobody took it for a while.
    Asking twice is harmless: a claim is given once. Of chunks that nothing asks for, `missing_hints` tells.
    """
    steps = await session.execute(
        update(JobRow)
        .where(JobRow.id.in_(_lost_steps(settings)))
        .values(sent_at=func.now())
        .returning(JobRow.id, JobRow.status)
    )
    return [
        (PLAN_JOB if status == JobStatus.VALIDATING else FINISH_JOB, (job_id,)) for job_id, status in steps
    ]


def _lost_steps(settings: Settings) -> Select[UUID]:
    """Jobs that wait to be planned, finished or swept."""
    runs = (
        select(ChunkRow)
        .where(ChunkRow.job_id == JobRow.id, ChunkRow.lease_until > func.now())
        .correlate(JobRow)
    )
    unswept = and_(JobRow.ended_at.is_not(None), JobRow.swept_at.is_(None), ~runs.exists())
    waits = and_(JobRow.ended_at.is_(None), JobRow.status.in_([JobStatus.VALIDATING, JobStatus.FINALIZING]))
    return (
        select(JobRow.id)
        .where(or_(waits, unswept), _is_unanswered(settings))
        .order_by(JobRow.sent_at)
        .limit(MAX_RESENT)
        .with_for_update(skip_locked=True)
    )


def _is_unanswered(settings: Settings) -> ColumnElement[bool]:
    """Nobody holds it, and no message asked for it since its lease ran out, or for a while."""
    lapsed_since = func.coalesce(JobRow.lease_until > JobRow.sent_at, false())
    asked_long_ago = JobRow.sent_at < func.now() - timedelta(seconds=settings.resend_after_s)
    is_free = func.coalesce(JobRow.lease_until <= func.now(), true())
    return and_(is_free, or_(lapsed_since, asked_long_ago))
