"""Jobs for those who have submitted them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.engine import Database
from shared.jobs.acts import note_job
from shared.jobs.ending import end_job
from shared.jobs.errors import JobEnded
from shared.jobs.errors_file import ErrorsFile, errors_file_of
from shared.jobs.hints import Hint, send_hints
from shared.jobs.job import ENDED, ErrorsFormat, JobStatus
from shared.jobs.lookup import JobFilter, find_job, list_jobs, progress_of
from shared.jobs.news import JobNews
from shared.jobs.result import Result, result_of
from shared.jobs.tables import JobRow
from shared.jobs.view import JobView, job_view
from shared.messaging.broker import Messenger
from shared.settings import Settings

LOOK_S = 15.0  # between two looks at a job that somebody waits for, should no message come
PAUSE_S = 0.1  # between two looks in any case


class JobService:
    """What the owners of jobs can do with them."""

    def __init__(
        self, settings: Settings, database: Database, *, messenger: Messenger, news: JobNews
    ) -> None:
        self._settings, self._database = settings, database
        self._messenger, self._news = messenger, news

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
        was = {"status": job.status}
        hints = await end_job(session, job, JobStatus.CANCELLED, settings=self._settings)
        await note_job(session, job, "job.cancel", before=was)
        return hints

    async def _view(self, session: AsyncSession, job: JobRow) -> JobView:
        progress = await progress_of(session, [job])
        return job_view(job, progress[job.id], public_url=self._settings.public_url)
