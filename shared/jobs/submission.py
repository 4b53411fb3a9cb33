"""Taking jobs on."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.catalog.service import ServingVersion, serving_version
from shared.database.engine import Database
from shared.jobs.acts import note_job
from shared.jobs.expiry import start_clock
from shared.jobs.further_outputs import further_outputs
from shared.jobs.hints import send_hints
from shared.jobs.input_address import InputAddress
from shared.jobs.job import JobStatus
from shared.jobs.lookup import progress_of
from shared.jobs.open_jobs import check_open_jobs, take_place
from shared.jobs.options import JobForm
from shared.jobs.source import Described, Source, SourceReader
from shared.jobs.submission_mark import Mark, add_once, find_marked
from shared.jobs.tables import JobRow
from shared.jobs.view import JobView, job_view
from shared.messaging.actors import PLAN_JOB
from shared.messaging.broker import Messenger
from shared.quotas.limits import look_for_room, require_room
from shared.quotas.quota import Quota
from shared.settings import Settings
from shared.storage.store import Storage
from shared.webhooks.callback_url import check_callback_url


class JobSubmissions:
    """Takes jobs on."""

    def __init__(
        self, settings: Settings, database: Database, *, storage: Storage, messenger: Messenger
    ) -> None:
        self._settings, self._database = settings, database
        self._storage, self._messenger = storage, messenger
        self._sources = SourceReader(settings, storage)

    async def check_room(self, tenant_id: UUID) -> None:
        """Refuse a job before its file is sent. Others may take the place meanwhile: `submit` looks again.

        Raises:
            TooManyJobs: the tenant has as many unfinished jobs as it may.
            QuotaExceeded: there is no room for any file.
        """
        async with self._database.transaction() as session:
            await check_open_jobs(session, tenant_id, settings=self._settings)
            await look_for_room(session, tenant_id, Quota.STORAGE_BYTES, settings=self._settings, more=1)

    async def find(self, tenant_id: UUID, mark: Mark) -> JobView | None:
        """The job that this very submission has become; None where it is new.

        Raises:
            IdempotencyKeyReused, JobIdTaken: its name belongs to another one.
        """
        async with self._database.transaction() as session:
            job = await find_marked(session, tenant_id, mark)
            return None if job is None else await self._view(session, job)

    async def check(self, tenant_id: UUID, form: JobForm) -> None:
        """Refuse what can be refused before there is a file, which may take long to come.

        Raises:
            InvalidOption, CallbackUrlRefused: an option does not fit.
            ModelNotFound, VersionNotFound, VersionNotServable: there is nothing to predict with.
            TooManyJobs: the tenant has as many unfinished jobs as it may.
        """
        await self.check_for_later(tenant_id, form)
        await self.check_room(tenant_id)

    async def check_for_later(self, tenant_id: UUID, form: JobForm) -> None:
        """The same for a job that is to be submitted another time, when there may be room.

        Raises:
            InvalidOption, CallbackUrlRefused: an option does not fit.
            ModelNotFound, VersionNotFound, VersionNotServable: there is nothing to predict with.
        """
        self._check_callback(form)
        form.columns()
        asked = form.asked_outputs()
        form.labels()
        form.tells_progress()
        form.expires_after_s()
        form.check_output()
        async with self._database.transaction() as session:
            version = await serving_version(session, tenant_id, form.model, form.version)
            further_outputs(asked, version.signature)

    async def submit(
        self,
        tenant_id: UUID,
        job_id: UUID,
        form: JobForm,
        source: Source,
        *,
        mark: Mark | None = None,
    ) -> JobView:
        """Take a job on for files that lie in storage, or for an address that a worker will fetch one from.

        Args:
            mark: where the same submission may have come before. The job is then the one that it has become,
                of another id than `job_id`, and the files that came again are removed.

        Raises:
            IdempotencyKeyReused, JobIdTaken: the mark's name belongs to another submission.
            InvalidOption, CallbackUrlRefused, InputUrlRefused: an option does not fit.
            TooLarge: there are too many files.
            UnsupportedFormat: a file is of no format that is read here, or of another than the others.
            ModelNotFound, VersionNotFound, VersionNotServable: there is nothing to predict with.
            TooManyJobs: the tenant has as many unfinished jobs as it may.
        """
        known = None if mark is None else await self.find(tenant_id, mark)
        if known is None:
            known = await self._take_on(tenant_id, job_id, form, source=source, mark=mark)
        if known.id == job_id:
            await send_hints(self._messenger, [(PLAN_JOB, (job_id,))])
        elif not isinstance(source, InputAddress):
            for file in source:
                await self._storage.delete(file.key)
        return known

    async def _take_on(
        self, tenant_id: UUID, job_id: UUID, form: JobForm, *, source: Source, mark: Mark | None
    ) -> JobView:
        described = await self.describe(tenant_id, job_id, form, source=source)
        async with self._database.transaction() as session:
            job = await self.job_of(session, tenant_id, job_id, form, described=described)
            standing = await add_once(session, job, mark)
            if standing is job:
                session.add_all(described.files)
                await note_job(session, job, "job.create")
            return await self._view(session, standing)

    async def describe(self, tenant_id: UUID, job_id: UUID, form: JobForm, *, source: Source) -> Described:
        """What the tables shall say of a source; raises what `submit` does where it does not fit."""
        return await self._sources.describe(tenant_id, job_id, form, source=source)

    async def job_of(
        self, session: AsyncSession, tenant_id: UUID, job_id: UUID, form: JobForm, *, described: Described
    ) -> JobRow:
        """A new job, which the same transaction adds. Once it is committed, somebody may be told to plan it.

        Raises:
            InvalidOption, CallbackUrlRefused: an option does not fit.
            ModelNotFound, VersionNotFound, VersionNotServable: there is nothing to predict with.
            TooManyJobs: the tenant has as many unfinished jobs as it may.
            QuotaExceeded: there is no room for its input.
        """
        self._check_callback(form)
        columns, labels, tells_progress = form.columns(), form.labels(), form.tells_progress()
        expires_after_s, asked = form.expires_after_s(), form.asked_outputs()
        await take_place(session, tenant_id, settings=self._settings)
        size_bytes = described.job.get("input_size_bytes") or 0
        await require_room(session, tenant_id, Quota.STORAGE_BYTES, settings=self._settings, more=size_bytes)
        version = await serving_version(session, tenant_id, form.model, form.version)
        job = _new_job(form, described.job, version=version)
        job.id, job.tenant_id, job.output_columns, job.labels = job_id, tenant_id, columns, labels
        job.further_outputs = further_outputs(asked, version.signature)
        job.tells_progress, job.on_error, job.priority = tells_progress, form.on_error, form.priority
        await start_clock(session, job, expires_after_s)
        return job

    def _check_callback(self, form: JobForm) -> None:
        if form.callback_url is not None:
            check_callback_url(form.callback_url, self._settings)

    async def _view(self, session: AsyncSession, job: JobRow) -> JobView:
        progress = await progress_of(session, [job])
        return job_view(job, progress[job.id], public_url=self._settings.public_url)


def _new_job(form: JobForm, source: Mapping[str, Any], *, version: ServingVersion) -> JobRow:
    return JobRow(
        **source,
        model_id=version.model_id,
        version_id=version.version_id,
        model_name=version.model_name,
        version_number=version.number,
        callback_url=form.callback_url,
        status=JobStatus.VALIDATING,
    )
