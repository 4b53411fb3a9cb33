"""Taking jobs on."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from shared.catalog.service import ServingVersion, serving_version
from shared.database.engine import Database
from shared.errors import TooLarge
from shared.jobs.envelope import Envelope
from shared.jobs.expiry import start_clock
from shared.jobs.files import digest_of_all
from shared.jobs.further_outputs import further_outputs
from shared.jobs.hints import send_hints
from shared.jobs.input_address import InputAddress
from shared.jobs.input_format import SNIFFED_BYTES, Recognised, recognise_all
from shared.jobs.job import JobStatus
from shared.jobs.lookup import progress_of
from shared.jobs.open_jobs import check_open_jobs, take_place
from shared.jobs.options import JobForm
from shared.jobs.submission_mark import Mark, add_once, find_marked
from shared.jobs.tables import JobFileRow, JobRow
from shared.jobs.view import JobView, job_view
from shared.messaging.actors import PLAN_JOB
from shared.messaging.broker import Messenger
from shared.settings import Settings
from shared.storage.store import Storage
from shared.webhooks.callback_url import check_callback_url

_HEADS_AT_ONCE = 16  # files whose beginnings are read side by side


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that lies in storage.

    Attributes:
        name: of several files with its folders.
        digest: SHA-256, hexadecimal.
        envelope: of rows that came in a request.
    """

    key: str
    name: str
    size_bytes: int
    digest: str
    envelope: Envelope | None = None


Source: TypeAlias = Sequence[InputFile] | InputAddress


class _Described(msgspec.Struct, frozen=True):
    """What the tables say of an input: the job's own row, and those of its files where it has several."""

    job: Mapping[str, Any]
    files: list[JobFileRow]


class JobSubmissions:
    """Takes jobs on."""

    def __init__(
        self, settings: Settings, database: Database, *, storage: Storage, messenger: Messenger
    ) -> None:
        self._settings, self._database = settings, database
        self._storage, self._messenger = storage, messenger

    async def check_room(self, tenant_id: UUID) -> None:
        """Refuse a job before its file is sent. Others may take the place meanwhile: `submit` looks again.

        Raises:
            TooManyJobs: the tenant has as many unfinished jobs as it may.
        """
        async with self._database.transaction() as session:
            await check_open_jobs(session, tenant_id, settings=self._settings)

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
        self._check_callback(form)
        form.columns()
        asked = form.asked_outputs()
        form.labels()
        form.tells_progress()
        form.expires_after_s()
        form.check_output()
        async with self._database.transaction() as session:
            await check_open_jobs(session, tenant_id, settings=self._settings)
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
        self,
        tenant_id: UUID,
        job_id: UUID,
        form: JobForm,
        *,
        source: Source,
        mark: Mark | None,
    ) -> JobView:
        self._check_callback(form)
        columns, labels, tells_progress = form.columns(), form.labels(), form.tells_progress()
        expires_after_s, asked = form.expires_after_s(), form.asked_outputs()
        found = await self._described(tenant_id, job_id, form, source=source)
        async with self._database.transaction() as session:
            await take_place(session, tenant_id, settings=self._settings)
            version = await serving_version(session, tenant_id, form.model, form.version)
            job = _new_job(form, found.job, version=version)
            job.id, job.tenant_id, job.output_columns, job.labels = job_id, tenant_id, columns, labels
            job.further_outputs = further_outputs(asked, version.signature)
            job.tells_progress, job.on_error, job.priority = tells_progress, form.on_error, form.priority
            await start_clock(session, job, expires_after_s)
            standing = await add_once(session, job, mark)
            if standing is job:
                session.add_all(found.files)
            return await self._view(session, standing)

    def _check_callback(self, form: JobForm) -> None:
        if form.callback_url is not None:
            check_callback_url(form.callback_url, self._settings)

    async def _view(self, session: AsyncSession, job: JobRow) -> JobView:
        progress = await progress_of(session, [job])
        return job_view(job, progress[job.id], public_url=self._settings.public_url)

    async def _described(self, tenant_id: UUID, job_id: UUID, form: JobForm, *, source: Source) -> _Described:
        if isinstance(source, InputAddress):
            source.check(self._settings, tenant_id=tenant_id)
            form.check_output()
            return _Described(_remote_source(form, source), [])
        found = await self._recognise(source, form)
        rows = _rows_of_several(job_id, source, found)
        return _Described(_stored_source(form, source, found[0]), rows)

    async def _recognise(self, files: Sequence[InputFile], form: JobForm) -> list[Recognised]:
        """What each file is: all are of one format."""
        if len(files) > self._settings.job_max_files:
            raise TooLarge(f"a job has {self._settings.job_max_files} files at most, and not {len(files)}")
        heads: list[bytes] = []
        for start in range(0, len(files), _HEADS_AT_ONCE):
            heads += await asyncio.gather(*map(self._head, files[start : start + _HEADS_AT_ONCE]))
        return recognise_all(
            [file.name for file in files], heads, format_=form.format, encoding=form.encoding
        )

    async def _head(self, file: InputFile) -> bytes:
        end = min(SNIFFED_BYTES, file.size_bytes)
        return b"".join([piece async for piece in self._storage.read(file.key, end=end)])


def _stored_source(form: JobForm, files: Sequence[InputFile], found: Recognised) -> dict[str, Any]:
    """Of several files the name and the key are the first one's."""
    digests = [(file.digest, file.name) for file in files]
    return {
        "input_file_name": files[0].name,
        "input_key": files[0].key,
        "input_size_bytes": sum(file.size_bytes for file in files),
        "input_digest": files[0].digest if len(files) == 1 else digest_of_all(digests),
        "input_files": len(files),
        "input_format": found.format,
        "input_encoding": found.encoding,
        "output_format": form.output(found.format),
        "envelope": msgspec.to_builtins(files[0].envelope),
    }


def _remote_source(form: JobForm, address: InputAddress) -> dict[str, Any]:
    """Formats and encoding as far as the form says them; the worker that fetches the file finds the rest."""
    return {
        "input_file_name": address.file_name,
        "input_url": address.url,
        "input_format": form.format,
        "input_encoding": form.encoding,
        "output_format": form.output_format,
    }


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


def _rows_of_several(
    job_id: UUID, files: Sequence[InputFile], found: Sequence[Recognised]
) -> list[JobFileRow]:
    """Of one file the job itself says everything."""
    if len(files) == 1:
        return []
    return [
        JobFileRow(
            job_id=job_id,
            index=index,
            name=file.name,
            key=file.key,
            size_bytes=file.size_bytes,
            digest=file.digest,
            encoding=recognised.encoding,
        )
        for index, (file, recognised) in enumerate(zip(files, found, strict=True))
    ]
