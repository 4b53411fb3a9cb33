"""What the scheduler's leader does, again and again. Safe to run twice, even by two leaders at once."""

from collections.abc import Awaitable, Callable

import msgspec
from redis.asyncio import Redis

from shared.access.password_reset import answer_requests, remove_expired_resets
from shared.access.sessions import remove_expired_sessions
from shared.analytics.service import fold_minutes, forget_old_counts
from shared.audit.retention import forget_old_acts
from shared.catalog.messages import ask_for_validation
from shared.catalog.service import lost_validations
from shared.database.engine import Database
from shared.jobs.chunk_hints import RUN_CHUNKS, missing_hints
from shared.jobs.expiry import expire_late_jobs
from shared.jobs.hints import send_hints
from shared.jobs.lost_work import lost_work
from shared.jobs.news import JobNews
from shared.jobs.retention import end_retention
from shared.mail.mailer import open_mailer
from shared.messaging.actors import DELIVER
from shared.messaging.broker import Messenger
from shared.quotas.days import forget_old_days
from shared.schedules.due import DueSchedules
from shared.schedules.scheduled_jobs import open_scheduled_jobs
from shared.settings import Settings
from shared.storage.store import Storage
from shared.uploads.expiry import remove_old_uploads
from shared.uploads.service import Uploads
from shared.webhooks.asking import due_deliveries
from shared.webhooks.retention import remove_old_deliveries
from workers.dissolution import Dissolution
from workers.mails import MailRound
from workers.orphans import OrphanSweep


class Duty(msgspec.Struct, frozen=True):
    """Something to be done about every second; its name is for the logs."""

    name: str
    run: Callable[[], Awaitable[None]]


def all_duties(
    settings: Settings, *, database: Database, redis: Redis, messenger: Messenger, storage: Storage
) -> list[Duty]:
    """Every duty of the leader."""
    return _Duties(settings, database, redis=redis, messenger=messenger, storage=storage).all()


class _Duties:
    """Each of them, to be done once."""

    def __init__(
        self, settings: Settings, database: Database, *, redis: Redis, messenger: Messenger, storage: Storage
    ) -> None:
        self._settings, self._database, self._storage = settings, database, storage
        self._redis, self._messenger, self._news = redis, messenger, JobNews(redis)
        jobs = open_scheduled_jobs(
            settings,
            database,
            storage=storage,
            uploads=Uploads(settings, database, storage),
            messenger=messenger,
        )
        self._schedules = DueSchedules(database, jobs)
        self._orphans = OrphanSweep(database, storage)
        self._dissolution = Dissolution(
            database, redis, messenger=messenger, storage=storage, news=self._news
        )
        self._mails = MailRound(database, open_mailer(settings))

    def all(self) -> list[Duty]:
        """As they are named here."""
        duties = (
            self.resend_lost_work,
            self.replace_lost_hints,
            self.expire_jobs,
            self.submit_due_schedules,
            self.remove_old_jobs,
            self.send_due_deliveries,
            self.remove_old_deliveries,
            self.answer_password_resets,
            self.send_due_mails,
            self.remove_expired_access,
            self.resend_lost_validations,
            self.fold_old_statistics,
            self.forget_old_days,
            self.forget_old_acts,
            self.remove_dissolved,
            self.remove_uploads,
            self.remove_orphans,
        )
        return [Duty(duty.__name__, duty) for duty in duties]

    async def resend_lost_work(self) -> None:
        """Ask again for steps of jobs that nobody works on."""
        async with self._database.transaction() as session:
            lost = await lost_work(session, self._settings)
        for address, arguments in lost:
            await self._messenger.send(address, *arguments)

    async def replace_lost_hints(self) -> None:
        """Ask for chunks that wait though no message says so."""
        silent = [p for p, hint in RUN_CHUNKS.items() if not await self._messenger.waiting(hint.queue)]
        async with self._database.transaction() as session:
            missing = await missing_hints(session, silent, settings=self._settings)
        for address, arguments in missing:
            await self._messenger.send(address, *arguments)

    async def expire_jobs(self) -> None:
        """End jobs whose time is up."""
        async with self._database.transaction() as session:
            expired, hints = await expire_late_jobs(session, self._settings)
        for job_id in expired:
            await self._news.announce(job_id)
        await send_hints(self._messenger, hints)

    async def submit_due_schedules(self) -> None:
        """Submit the jobs of schedules whose time has come."""
        await self._schedules.submit_due()

    async def remove_old_jobs(self) -> None:
        """Have workers remove what was kept of jobs for long enough."""
        async with self._database.transaction() as session:
            hints = await end_retention(session, self._settings)
        await send_hints(self._messenger, hints)

    async def send_due_deliveries(self) -> None:
        """Ask for the attempts at deliveries that are due."""
        async with self._database.transaction() as session:
            due = await due_deliveries(session, self._settings)
        for delivery_id in due:
            await self._messenger.send(DELIVER, delivery_id)

    async def remove_old_deliveries(self) -> None:
        """Forget deliveries of long ago."""
        async with self._database.transaction() as session:
            await remove_old_deliveries(session, self._settings)

    async def answer_password_resets(self) -> None:
        """Mail tokens to those who forgot their passwords."""
        async with self._database.transaction() as session:
            await answer_requests(session, public_url=self._settings.public_url)

    async def remove_expired_access(self) -> None:
        """Remove sessions and tokens whose time is over."""
        async with self._database.transaction() as session:
            await remove_expired_sessions(session)
            await remove_expired_resets(session)

    async def send_due_mails(self) -> None:
        """Send the mails whose time has come."""
        await self._mails.send_due()

    async def resend_lost_validations(self) -> None:
        """Ask again for verdicts that nobody works on."""
        async with self._database.transaction() as session:
            lost = await lost_validations(session)
        await ask_for_validation(self._redis, lost)

    async def fold_old_statistics(self) -> None:
        """Make hours of old minutes."""
        async with self._database.transaction() as session:
            await fold_minutes(session, minutes_days=self._settings.statistics_minutes_days)
            await forget_old_counts(session)

    async def forget_old_days(self) -> None:
        """Remove what tenants used on days of long ago."""
        async with self._database.transaction() as session:
            await forget_old_days(session)

    async def forget_old_acts(self) -> None:
        """Remove what the audit log has kept for long enough."""
        async with self._database.transaction() as session:
            await forget_old_acts(session, days=self._settings.audit_days)

    async def remove_dissolved(self) -> None:
        """Remove what organisations had that were deleted."""
        await self._dissolution.round()

    async def remove_uploads(self) -> None:
        """Remove uploads whose time is up, and what belongs to none."""
        await remove_old_uploads(self._database, self._storage)

    async def remove_orphans(self) -> None:
        """Remove some of what a crash left in storage."""
        await self._orphans.round()
