"""Schedules for those who own them. `schedule` is what the path calls one: id or name."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.engine import Database
from shared.database.now import database_now
from shared.database.tenant_lock import lock_tenant
from shared.ids import parse_id
from shared.jobs.lookup import progress_of
from shared.jobs.tables import JobRow
from shared.jobs.view import JobView, job_view
from shared.quotas.holdings import held
from shared.quotas.limits import limit_of
from shared.quotas.quota import Quota
from shared.schedules.acts import note_schedule, stated
from shared.schedules.errors import ScheduleNameTaken, TooManySchedules
from shared.schedules.lookup import find_schedule, schedules_of, timing_of
from shared.schedules.request import NewSchedule, ScheduleChanges, ScheduledJob, read_job, read_name
from shared.schedules.scheduled_jobs import ReadyJob, ScheduledJobs
from shared.schedules.tables import ScheduleRow
from shared.schedules.timing import Timing, check_due, read_timing
from shared.schedules.view import ScheduleView, schedule_views
from shared.settings import Settings


class Schedules:
    """What the owners of schedules can do with them."""

    def __init__(self, settings: Settings, database: Database, jobs: ScheduledJobs) -> None:
        self._settings, self._database, self._jobs = settings, database, jobs

    async def create(self, tenant_id: UUID, asked: NewSchedule) -> ScheduleView:
        """Have a job submitted by the clock.

        Raises:
            InvalidInput, ModelNotFound, VersionNotFound, VersionNotServable: the job would be refused.
            InvalidSchedule: a field does not fit.
            ScheduleNameTaken, TooManySchedules: there is no room for it.
        """
        name, job = read_name(asked.name), read_job(bytes(asked.job))
        timing = await self._new_timing(asked.timing())
        await self._check(tenant_id, job, timing)
        async with self._database.transaction() as session:
            await self._make_room(session, tenant_id)
            row = ScheduleRow(tenant_id=tenant_id, name=name, overlap=asked.overlap)
            _set_job(row, job)
            _set_timing(row, timing, now=await database_now(session), enabled=asked.enabled)
            session.add(row)
            view = await _stored(session, row)
            await note_schedule(session, row, "schedule.create", after=stated(row))
            return view

    async def get(self, tenant_id: UUID, schedule: str) -> ScheduleView:
        """A schedule.

        Raises:
            ScheduleNotFound: there is none, or it is another tenant's.
        """
        async with self._database.transaction() as session:
            (view,) = await schedule_views(session, [await find_schedule(session, tenant_id, schedule)])
            return view

    async def list_newest(self, tenant_id: UUID, *, before: UUID | None, limit: int) -> list[ScheduleView]:
        """Up to `limit` of them, the newest first, made before the one with the id `before`."""
        query = schedules_of(tenant_id)
        if before is not None:
            query = query.where(ScheduleRow.id < before)
        async with self._database.transaction() as session:
            rows = (await session.scalars(query.order_by(ScheduleRow.id.desc()).limit(limit))).all()
            return await schedule_views(session, rows)

    async def change(self, tenant_id: UUID, schedule: str, changes: ScheduleChanges) -> ScheduleView:
        """Change what is said of a schedule. Its next time is counted anew where it is of its times.

        Raises:
            ScheduleNotFound: there is none, or it is another tenant's.
            InvalidInput, ModelNotFound, VersionNotFound, VersionNotServable: the job would be refused.
            InvalidSchedule: a field does not fit.
            ScheduleNameTaken: another has this name.
        """
        given = changes.given()
        job = read_job(bytes(given.pop("job"))) if "job" in given else None
        if job is not None:
            await self._check(tenant_id, job, await self._present_timing(tenant_id, schedule))
        async with self._database.transaction() as session:
            row = await find_schedule(session, tenant_id, schedule, lock=True)
            now, was = await database_now(session), stated(row)
            if job is not None:
                _set_job(row, job)
            _set_plain(row, given)
            timing = changes.timing(timing_of(row))
            if timing is not None or "enabled" in given:
                _retime(row, timing, now=now, enabled=given.get("enabled"))
            view = await _stored(session, row)
            await note_schedule(session, row, "schedule.change", before=was, after=stated(row))
            return view

    async def delete(self, tenant_id: UUID, schedule: str) -> None:
        """Forget a schedule. Its jobs stay.

        Raises:
            ScheduleNotFound: there is none, or it is another tenant's.
        """
        async with self._database.transaction() as session:
            row = await find_schedule(session, tenant_id, schedule, lock=True)
            await note_schedule(session, row, "schedule.delete", before=stated(row))
            await session.delete(row)

    async def run(self, tenant_id: UUID, schedule: str) -> JobView:
        """Submit a job now, whatever the schedule's times are, and whether others of it run.

        Raises:
            ScheduleNotFound: there is none, or it is another tenant's.
            CallerError, TooManyJobs: the job is refused.
        """
        async with self._database.transaction() as session:
            seen = await find_schedule(session, tenant_id, schedule, with_job=True)
            now = await database_now(session)
        ready = await self._jobs.prepare(seen, timing_of(seen).local(now))
        view = None
        try:
            view = await self._add(seen, ready)
        finally:
            if view is None:
                await self._jobs.discard(ready.job_id)
        await self._jobs.announce(view.id)
        return view

    async def id_of(self, tenant_id: UUID, schedule: str) -> UUID:
        """The id of that schedule, of one that was deleted too; a name only of one that there is.

        Raises:
            ScheduleNotFound: no schedule of the tenant has this name.
        """
        schedule_id = parse_id(schedule)
        if schedule_id is not None:
            return schedule_id
        async with self._database.transaction() as session:
            return (await find_schedule(session, tenant_id, schedule)).id

    async def _add(self, seen: ScheduleRow, ready: ReadyJob) -> JobView:
        async with self._database.transaction() as session:
            await lock_tenant(session, seen.tenant_id)
            row = await find_schedule(session, seen.tenant_id, str(seen.id), lock=True)
            job = await self._jobs.add(session, row, ready, now=await database_now(session))
            await note_schedule(session, row, "schedule.run", after={"job_id": job.id})
            return await self._job_view(session, job)

    async def _job_view(self, session: AsyncSession, job: JobRow) -> JobView:
        progress = await progress_of(session, [job])
        return job_view(job, progress[job.id], public_url=self._settings.public_url)

    async def _new_timing(self, asked: Timing) -> Timing:
        async with self._database.transaction() as session:
            now = await database_now(session)
        timing = read_timing(asked, now)
        check_due(timing, now)
        return timing

    async def _present_timing(self, tenant_id: UUID, schedule: str) -> Timing:
        async with self._database.transaction() as session:
            return timing_of(await find_schedule(session, tenant_id, schedule))

    async def _check(self, tenant_id: UUID, job: ScheduledJob, timing: Timing) -> None:
        async with self._database.transaction() as session:
            now = await database_now(session)
        await self._jobs.check(tenant_id, job, timing.local(now))

    async def _make_room(self, session: AsyncSession, tenant_id: UUID) -> None:
        await lock_tenant(session, tenant_id)
        most = await limit_of(session, tenant_id, Quota.SCHEDULES, settings=self._settings)
        if most and await held(session, tenant_id, Quota.SCHEDULES) >= most:
            raise TooManySchedules(most)


def _set_job(row: ScheduleRow, job: ScheduledJob) -> None:
    row.job, row.job_shown = job.content, job.shown()


def _set_plain(row: ScheduleRow, given: dict[str, Any]) -> None:
    if "name" in given:
        row.name = read_name(given["name"])
    row.overlap = given.get("overlap", row.overlap)


def _retime(row: ScheduleRow, changed: Timing | None, *, now: datetime, enabled: bool | None) -> None:
    timing = timing_of(row) if changed is None else read_timing(changed, now)
    is_on = row.enabled if enabled is None else enabled
    if is_on:
        check_due(timing, now)
    if is_on and not row.enabled:
        row.refusals = 0
    _set_timing(row, timing, now=now, enabled=is_on)


def _set_timing(row: ScheduleRow, timing: Timing, *, now: datetime, enabled: bool) -> None:
    for name in timing.__struct_fields__:
        setattr(row, name, getattr(timing, name))
    row.enabled = enabled
    row.next_run_at = timing.after(now) if enabled else None


async def _stored(session: AsyncSession, row: ScheduleRow) -> ScheduleView:
    name = row.name
    try:
        await session.flush()
    except IntegrityError as error:
        raise ScheduleNameTaken(name) from error
    (view,) = await schedule_views(session, [row])
    return view
