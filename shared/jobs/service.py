"""Jobs for those who submit them, and the look for work whose message or worker was lost."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select, true, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from shared.catalog.service import ServingVersion, serving_version
from shared.database.engine import Database
from shared.jobs.ending import end_job
from shared.jobs.errors import JobEnded
from shared.jobs.errors_file import ErrorsFile, errors_file_of
from shared.jobs.hints import Hint, send_hints
from shared.jobs.input_format import SNIFFED_BYTES, Recognised, recognise
from shared.jobs.job import ENDED, ChunkStatus, ErrorsFormat, JobStatus
from shared.jobs.lookup import JobFilter, find_job, list_jobs, progress_of
from shared.jobs.news import JobNews
from shared.jobs.options import JobForm
from shared.jobs.result import Result, result_of
from shared.jobs.tables import ChunkRow, JobRow
from shared.jobs.view import JobView, job_view
from shared.messaging.actors import FINISH_JOB, PLAN_JOB, RUN_CHUNK
from shared.messaging.broker import Messenger
from shared.settings import Settings
from shared.storage.store import Storage
from shared.webhooks.callback_url import check_callback_url

LOOK_S = 15.0  # between two looks at a job that somebody waits for, should no message come
PAUSE_S = 0.1  # between two looks in any case
MAX_RESENT = 100  # messages of each kind that one look sends again


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that lies in storage. Digest: SHA-256, hexadecimal."""

    key: str
    name: str
    size_bytes: int
    digest: str


class JobService:
    """What the owners of jobs can do with them."""

    def __init__(
        self, settings: Settings, database: Database, *, storage: Storage, messenger: Messenger, news: JobNews
    ) -> None:
        self._settings, self._database = settings, database
        self._storage, self._messenger, self._news = storage, messenger, news

    async def submit(self, tenant_id: UUID, job_id: UUID, form: JobForm, file: InputFile) -> JobView:
        """Take a job on for a file that lies in storage.

        Raises:
            InvalidOption, CallbackUrlRefused: an option does not fit.
            UnsupportedFormat: the file is of no format that is read here.
            ModelNotFound, VersionNotFound, VersionNotServable: there is nothing to predict with.
        """
        if form.callback_url is not None:
            check_callback_url(form.callback_url, self._settings)
        columns, labels, tells_progress = form.columns(), form.labels(), form.tells_progress()
        found = await self._recognise(file, form)
        async with self._database.transaction() as session:
            version = await serving_version(session, tenant_id, form.model, form.version)
            job = _new_job(form, file, version=version)
            job.id, job.tenant_id, job.output_columns, job.labels = job_id, tenant_id, columns, labels
            job.tells_progress, job.on_error = tells_progress, form.on_error
            job.input_format, job.output_format = found.format, form.output(found.format)
            job.input_encoding = found.encoding
            session.add(job)
            await session.flush()
            view = await self._view(session, job)
        await send_hints(self._messenger, [(PLAN_JOB, (job_id,))])
        return view

    async def get(self, tenant_id: UUID, job: str) -> JobView:
        """A job and how far it is.

        Raises:
            JobNotFound: there is none, or it is another tenant's.
        """
        async with self._database.transaction() as session:
            return await self._view(session, await find_job(session, tenant_id, job))

    async def await_change(
        self, tenant_id: UUID, job: str, *, wait_s: float, is_known: Callable[[JobView], bool] | None
    ) -> JobView:
        """The job as soon as there is news, or after `wait_s`, or once it has ended.

        Args:
            is_known: whether the caller has seen the job like this; None: they have seen it as it is now.

        Raises:
            JobNotFound: there is none, or it is another tenant's.
        """
        deadline = time.monotonic() + wait_s
        view = first = await self.get(tenant_id, job)
        is_old = is_known or (lambda later: (later.status, later.rows) == (first.status, first.rows))
        if wait_s and view.ended_at is None and is_old(view):
            async with contextlib.aclosing(self.follow(tenant_id, first.id, until=deadline)) as looks:
                async for view in looks:
                    if view.ended_at is not None or not is_old(view):
                        break
        return view

    async def follow(self, tenant_id: UUID, job_id: UUID, *, until: float) -> AsyncGenerator[JobView]:
        """The job now, again whenever it may have changed, and every LOOK_S in any case.

        Ends at `until`, in monotonic seconds, or when the process is about to stop.

        Raises:
            JobNotFound: there is none, or it is another tenant's.
        """
        with self._news.watch(job_id) as changed:
            while True:
                changed.clear()
                yield await self.get(tenant_id, str(job_id))
                left_s = until - time.monotonic()
                if left_s <= 0 or self._news.ended:
                    return
                await asyncio.sleep(min(PAUSE_S, left_s))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(LOOK_S, left_s))

    async def list_newest(self, tenant_id: UUID, wanted: JobFilter, *, limit: int) -> list[JobView]:
        """Up to `limit` jobs, the newest first."""
        async with self._database.transaction() as session:
            jobs = await list_jobs(session, tenant_id, wanted, limit=limit)
            progress = await progress_of(session, jobs)
        return [job_view(job, progress[job.id], public_url=self._settings.public_url) for job in jobs]

    async def cancel(self, tenant_id: UUID, job: str) -> JobView:
        """End a job where it stands. Cancelling twice is the same as once.

        Raises:
            JobNotFound: there is none, or it is another tenant's.
            JobEnded: it has succeeded or failed.
        """
        async with self._database.transaction() as session:
            row = await find_job(session, tenant_id, job, lock=True)
            hints = await self._cancel(session, row)
            view = await self._view(session, row)
        await self._news.announce(view.id)
        await send_hints(self._messenger, hints)
        return view

    async def result(self, tenant_id: UUID, job: str) -> Result:
        """The output of a job that has succeeded.

        Raises:
            JobNotFound: there is none, or it is another tenant's.
            ResultNotReady: the job has not ended.
            NoResult: it ended without one.
        """
        async with self._database.transaction() as session:
            row = await find_job(session, tenant_id, job)
        return result_of(row)

    async def errors_file(self, tenant_id: UUID, job: str, kind: ErrorsFormat) -> ErrorsFile:
        """The rows that a job has left out.

        Raises:
            JobNotFound: there is none, or it is another tenant's.
            ResultNotReady: the job has not ended.
            NoResult: it ended without one, or does not skip rows.
        """
        async with self._database.transaction() as session:
            row = await find_job(session, tenant_id, job)
        return errors_file_of(row, kind)

    async def _cancel(self, session: AsyncSession, job: JobRow) -> list[Hint]:
        if job.status == JobStatus.CANCELLED:
            return []
        if job.status in ENDED:
            raise JobEnded(f"the job has {job.status}: there is nothing left to cancel")
        return await end_job(session, job, JobStatus.CANCELLED, settings=self._settings)

    async def _recognise(self, file: InputFile, form: JobForm) -> Recognised:
        end = min(SNIFFED_BYTES, file.size_bytes)
        head = b"".join([piece async for piece in self._storage.read(file.key, end=end)])
        return recognise(head, file.name, format_=form.format, encoding=form.encoding)

    async def _view(self, session: AsyncSession, job: JobRow) -> JobView:
        progress = await progress_of(session, [job])
        return job_view(job, progress[job.id], public_url=self._settings.public_url)


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


def _new_job(form: JobForm, file: InputFile, *, version: ServingVersion) -> JobRow:
    return JobRow(
        model_id=version.model_id,
        version_id=version.version_id,
        model_name=version.model_name,
        version_number=version.number,
        input_file_name=file.name,
        input_key=file.key,
        input_size_bytes=file.size_bytes,
        input_digest=file.digest,
        callback_url=form.callback_url,
        status=JobStatus.VALIDATING,
    )


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
