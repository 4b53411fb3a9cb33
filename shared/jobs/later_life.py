"""What the owners of jobs can do with those that have ended."""

from uuid import UUID

from shared.database.engine import Database
from shared.jobs.acts import note_job
from shared.jobs.hints import send_hints
from shared.jobs.lookup import find_job, progress_of
from shared.jobs.news import JobNews
from shared.jobs.open_jobs import take_place
from shared.jobs.retention import delete_job
from shared.jobs.retrying import retry_job
from shared.jobs.view import JobView, job_view
from shared.messaging.broker import Messenger
from shared.settings import Settings


class LaterLife:
    """Sends jobs on that have ended, and deletes them."""

    def __init__(
        self, settings: Settings, database: Database, *, messenger: Messenger, news: JobNews
    ) -> None:
        self._settings, self._database = settings, database
        self._messenger, self._news = messenger, news

    async def retry(self, tenant_id: UUID, job: str) -> JobView:
        """Let a job that has failed, expired or been cancelled go on from where it stopped.

        Raises:
            JobNotFound: there is none, or it is another tenant's.
            JobNotEnded, JobEnded: it still runs, or has succeeded.
            ResultExpired: its input was removed.
            VersionDeleted: there is nothing to predict with.
            TooManyJobs: the tenant has as many unfinished jobs as it may.
        """
        async with self._database.transaction() as session:
            await take_place(session, tenant_id, settings=self._settings)
            row = await find_job(session, tenant_id, job, lock=True)
            was = {"status": row.status}
            hints = await retry_job(session, row)
            await note_job(session, row, "job.retry", before=was)
            progress = await progress_of(session, [row])
            view = job_view(row, progress[row.id], public_url=self._settings.public_url)
        await self._news.announce(view.id)
        await send_hints(self._messenger, hints)
        return view

    async def delete(self, tenant_id: UUID, job: str) -> None:
        """Remove a job that has ended: from now on there is none, and workers remove its files.

        Raises:
            JobNotFound: there is none, or it is another tenant's.
            JobNotEnded: it still runs.
        """
        async with self._database.transaction() as session:
            row = await find_job(session, tenant_id, job, lock=True)
            hints = await delete_job(session, row)
            await note_job(session, row, "job.delete")
        await send_hints(self._messenger, hints)
