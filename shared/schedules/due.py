"""Submitting what is due, exactly once for each due time.

The job and the schedule's next time are committed together, or neither is. Two who do this at once, or one
that ends at any point, lose nothing and add nothing: what was stored for a job that came to nothing belongs
to no job, and goes as every orphan does.
"""

from collections.abc import Awaitable
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.engine import Database
from shared.database.now import database_now
from shared.database.tenant_lock import lock_tenant
from shared.errors import CallerError
from shared.jobs.errors import TooManyJobs
from shared.jobs.tables import JobRow
from shared.schedules.lookup import due_schedule, due_schedules, has_open_job, take_due, timing_of
from shared.schedules.request import Overlap
from shared.schedules.scheduled_jobs import ReadyJob, ScheduledJobs
from shared.schedules.tables import ScheduleRow
from shared.schedules.view import RunError

log = structlog.get_logger()

T = TypeVar("T")

MOST_REFUSALS: Final = 10  # in a row; then a schedule is disabled


class Refusal(msgspec.Struct, frozen=True):
    """Why there is no job for a due time."""

    code: str
    message: str


STILL_RUNNING: Final = Refusal(
    "still_running",
    "an earlier job of this schedule had not ended: this time was left out. `overlap: allow` lets both run",
)


class DueSchedules:
    """What the scheduler's leader does with schedules."""

    def __init__(self, database: Database, jobs: ScheduledJobs) -> None:
        self._database, self._jobs = database, jobs

    async def submit_due(self) -> None:
        """Submit a job for each schedule that is due by the database's clock, a bounded number of them."""
        async with self._database.transaction() as session:
            due = await due_schedules(session, await database_now(session))
        for schedule_id in due:
            try:
                await self._submit(schedule_id)
            except Exception:  # it stays due; the others are not to wait for it
                log.exception("schedule_failed", schedule_id=str(schedule_id))

    async def _submit(self, schedule_id: UUID) -> None:
        async with self._database.transaction() as session:
            now = await database_now(session)
            seen = await due_schedule(session, schedule_id, now)
        if seen is None or seen.next_run_at is None:
            return
        timing = timing_of(seen)
        due = timing.latest(seen.next_run_at, now)
        ready = await _or_refusal(self._jobs.prepare(seen, timing.local(due)))
        if isinstance(ready, Refusal):
            await self._advance(seen, due, ready)
        else:
            await self._add_or_discard(seen, due, ready)

    async def _add_or_discard(self, seen: ScheduleRow, due: datetime, ready: ReadyJob) -> None:
        job: JobRow | None = None
        try:
            job = await self._advance(seen, due, ready)
        finally:
            if job is None:
                await self._jobs.discard(ready.job_id)
        if job is not None:
            await self._jobs.announce(job.id)

    async def _advance(self, seen: ScheduleRow, due: datetime, found: ReadyJob | Refusal) -> JobRow | None:
        """Let the schedule go on to its next time, with the job or with why there is none.

        Returns:
            The job; None where there is none, or the schedule is not due any more as it was seen.
        """
        async with self._database.transaction() as session:
            await lock_tenant(session, seen.tenant_id)
            row = await take_due(session, seen)
            if row is None:
                return None
            now = await database_now(session)
            outcome = await self._job_of(session, row, found, now=now)
            row.next_run_at = timing_of(row).after(now)
            if not isinstance(outcome, Refusal):
                return outcome
            _note(row, outcome, due)
            return None

    async def _job_of(
        self, session: AsyncSession, row: ScheduleRow, found: ReadyJob | Refusal, *, now: datetime
    ) -> JobRow | Refusal:
        if isinstance(found, Refusal):
            return found
        if row.overlap == Overlap.SKIP and await has_open_job(session, row):
            return STILL_RUNNING
        return await _or_refusal(self._jobs.add(session, row, found, now=now))


async def _or_refusal(attempt: Awaitable[T]) -> T | Refusal:
    """What comes of it; what its owner would be told, had they sent it, is no failure of ours."""
    try:
        return await attempt
    except (CallerError, TooManyJobs) as error:
        return Refusal(error.code, str(error))


def _note(row: ScheduleRow, refusal: Refusal, due: datetime) -> None:
    message = refusal.message
    if refusal is not STILL_RUNNING:
        row.refusals += 1
    if row.refusals >= MOST_REFUSALS:
        row.enabled, row.next_run_at = False, None
        message += f" (refused {row.refusals} times in a row: the schedule is disabled until you enable it)"
    error = RunError(code=refusal.code, message=message, due_at=due)
    row.last_error = msgspec.to_builtins(error)
