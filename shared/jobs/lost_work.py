"""The look for work whose message or worker was lost."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select, true, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from shared.jobs.hints import Hint
from shared.jobs.job import ChunkStatus, JobStatus
from shared.jobs.tables import ChunkRow, JobRow
from shared.messaging.actors import FINISH_JOB, PLAN_JOB, RUN_CHUNK
from shared.settings import Settings

MAX_RESENT = 100  # messages of each kind that one look sends again


async def lost_work(session: AsyncSession, settings: Settings) -> list[Hint]:
    """Messages to send again, noted as sent.

    A job's step or a chunk is asked for again when its worker's lease ran out, and when nobody took it
    for a while. Asking twice is harmless: a claim is given once.
    """
    steps = await session.execute(
        update(JobRow)
        .where(JobRow.id.in_(_lost_steps(settings)))
        .values(sent_at=func.now())
        .returning(JobRow.id, JobRow.status)
    )
    chunks = await session.execute(
        update(ChunkRow)
        .where(tuple_(ChunkRow.job_id, ChunkRow.index).in_(_lost_chunks(settings)))
        .values(sent_at=func.now())
        .returning(ChunkRow.job_id, ChunkRow.index)
    )
    return [
        *(
            (PLAN_JOB if status == JobStatus.VALIDATING else FINISH_JOB, (job_id,))
            for job_id, status in steps
        ),
        *((RUN_CHUNK, (job_id, index)) for job_id, index in sorted(chunks)),
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
        .where(or_(waits, unswept), _is_unanswered(JobRow, settings))
        .order_by(JobRow.sent_at)
        .limit(MAX_RESENT)
        .with_for_update(skip_locked=True)
    )


def _lost_chunks(settings: Settings) -> Select[UUID, int]:
    """Chunks that were lost with their worker, and those of jobs on which nobody works at all.

    A chunk that merely waits its turn behind others of its job is not lost: asking for thousands of
    them every few seconds would only fill the queue.
    """
    other = aliased(ChunkRow)
    runs = (
        select(other)
        .where(other.job_id == ChunkRow.job_id, other.lease_until > func.now())
        .correlate(ChunkRow)
    )
    return (
        select(ChunkRow.job_id, ChunkRow.index)
        .join(JobRow, JobRow.id == ChunkRow.job_id)
        .where(JobRow.status.in_([JobStatus.QUEUED, JobStatus.RUNNING]), ChunkRow.status != ChunkStatus.DONE)
        .where(
            _is_unanswered(ChunkRow, settings), or_(ChunkRow.status == ChunkStatus.RUNNING, ~runs.exists())
        )
        .order_by(ChunkRow.job_id, ChunkRow.index)
        .limit(MAX_RESENT)
        .with_for_update(of=ChunkRow, skip_locked=True)
    )


def _is_unanswered(row: type[JobRow | ChunkRow], settings: Settings) -> ColumnElement[bool]:
    """Nobody holds it, and no message asked for it since its lease ran out, or for a while."""
    lapsed_since = func.coalesce(row.lease_until > row.sent_at, false())
    asked_long_ago = row.sent_at < func.now() - timedelta(seconds=settings.resend_after_s)
    is_free = func.coalesce(row.lease_until <= func.now(), true())
    return and_(is_free, or_(lapsed_since, asked_long_ago))
