"""From a schedule to a job: what is asked for is read again each time, as if its owner sent it now."""

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.engine import Database
from shared.ids import new_id
from shared.jobs.acts import note_job
from shared.jobs.hints import send_hints
from shared.jobs.input_address import InputAddress
from shared.jobs.inputs import Input, JobInputs
from shared.jobs.job import input_key
from shared.jobs.json_request import JobRequest
from shared.jobs.options import JobForm
from shared.jobs.source import Described
from shared.jobs.submission import JobSubmissions
from shared.jobs.tables import JobRow
from shared.messaging.actors import PLAN_JOB
from shared.messaging.broker import Messenger
from shared.schedules.placeholders import filled
from shared.schedules.request import ScheduledJob, placed_in_job, read_job
from shared.schedules.tables import ScheduleRow
from shared.settings import Settings
from shared.storage.store import Storage
from shared.uploads.service import Uploads


class ReadyJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job whose input lies in storage, or at an address; nobody knows of it yet."""

    job_id: UUID
    form: JobForm
    described: Described


class ScheduledJobs:
    """Makes jobs of what schedules hold."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        *,
        submissions: JobSubmissions,
        inputs: JobInputs,
        messenger: Messenger,
    ) -> None:
        self._settings, self._storage, self._messenger = settings, storage, messenger
        self._submissions, self._inputs = submissions, inputs

    async def check(self, tenant_id: UUID, job: ScheduledJob, local: datetime) -> None:
        """Refuse what would be refused if it were submitted now, but for too many jobs.

        Raises:
            InvalidInput: an option, or the address that the URL is at the time `local`, does not fit.
            ModelNotFound, VersionNotFound, VersionNotServable: there is nothing to predict with.
        """
        form = job.request.form()
        with placed_in_job():
            self._inputs.check_options(form, job.request.input)
            await self._submissions.check_for_later(tenant_id, form)
            if job.request.input.url is not None:
                address = InputAddress(filled(job.request.input.url, local))
                address.check(self._settings, tenant_id=tenant_id)

    async def prepare(self, row: ScheduleRow, local: datetime) -> ReadyJob:
        """Put the job's input where it belongs. Whoever does not `add` the job has to `discard` it.

        Args:
            local: the time that it is due, in the schedule's zone.

        Raises:
            CallerError: it would be refused; the text says why.
        """
        job_id, request = new_id(), read_job(row.job).request
        stored = await self._inputs.store(row.tenant_id, job_id, request.form(), _input_at(request, local))
        try:
            described = await self._submissions.describe(
                row.tenant_id, job_id, stored.form, source=stored.source
            )
        except BaseException:
            await self.discard(job_id)
            raise
        return ReadyJob(job_id=job_id, form=stored.form, described=described)

    async def add(self, session: AsyncSession, row: ScheduleRow, ready: ReadyJob, *, now: datetime) -> JobRow:
        """Add the job, and note it with its schedule, whose row is locked. `announce` it after the commit.

        Raises:
            CallerError, TooManyJobs: it is refused.
        """
        job = await self._submissions.job_of(
            session, row.tenant_id, ready.job_id, ready.form, described=ready.described
        )
        job.schedule_id = row.id
        session.add(job)
        await session.flush()
        await note_job(session, job, "job.create")
        row.last_run_at, row.last_job_id, row.last_error, row.refusals = now, job.id, None, 0
        return job

    async def announce(self, job_id: UUID) -> None:
        """Have it planned. A message that is lost is sent again by the scheduler."""
        await send_hints(self._messenger, [(PLAN_JOB, (job_id,))])

    async def discard(self, job_id: UUID) -> None:
        """Remove the input of a job that is not to be."""
        await self._storage.delete(input_key(job_id))


def _input_at(request: JobRequest, local: datetime) -> Input:
    url = request.input.url
    return request.input if url is None else replace(request.input, url=filled(url, local))


def open_scheduled_jobs(
    settings: Settings, database: Database, *, storage: Storage, uploads: Uploads, messenger: Messenger
) -> ScheduledJobs:
    """The same, on what a process has open."""
    return ScheduledJobs(
        settings,
        storage,
        submissions=JobSubmissions(settings, database, storage=storage, messenger=messenger),
        inputs=JobInputs(settings, database, storage=storage, uploads=uploads),
        messenger=messenger,
    )
