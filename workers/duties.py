"""What the scheduler's leader does, again and again. Safe to run twice, even by two leaders at once."""

from collections.abc import Awaitable, Callable

import msgspec
from redis.asyncio import Redis

from shared.analytics.service import fold_minutes, forget_old_counts
from shared.catalog.messages import ask_for_validation
from shared.catalog.service import lost_validations
from shared.database.engine import Database
from shared.jobs.chunk_hints import RUN_CHUNKS, missing_hints
from shared.jobs.expiry import expire_late_jobs
from shared.jobs.hints import send_hints
from shared.jobs.lost_work import lost_work
from shared.jobs.news import JobNews
from shared.messaging.actors import DELIVER
from shared.messaging.broker import Messenger
from shared.settings import Settings
from shared.webhooks.service import due_deliveries


class Duty(msgspec.Struct, frozen=True):
    """Something to be done about every second; its name is for the logs."""

    name: str
    run: Callable[[], Awaitable[None]]


def all_duties(settings: Settings, *, database: Database, redis: Redis, messenger: Messenger) -> list[Duty]:
    """Every duty of the leader."""
    news = JobNews(redis)

    async def resend_lost_work() -> None:
        async with database.transaction() as session:
            lost = await lost_work(session, settings)
        for address, arguments in lost:
            await messenger.send(address, *arguments)

    async def replace_lost_hints() -> None:
        silent = [p for p, hint in RUN_CHUNKS.items() if not await messenger.waiting(hint.queue)]
        async with database.transaction() as session:
            missing = await missing_hints(session, silent, settings=settings)
        for address, arguments in missing:
            await messenger.send(address, *arguments)

    async def expire_jobs() -> None:
        async with database.transaction() as session:
            expired, hints = await expire_late_jobs(session, settings)
        for job_id in expired:
            await news.announce(job_id)
        await send_hints(messenger, hints)

    async def send_due_deliveries() -> None:
        async with database.transaction() as session:
            due = await due_deliveries(session, settings)
        for delivery_id in due:
            await messenger.send(DELIVER, delivery_id)

    async def resend_lost_validations() -> None:
        async with database.transaction() as session:
            lost = await lost_validations(session)
        await ask_for_validation(redis, lost)

    async def fold_old_statistics() -> None:
        async with database.transaction() as session:
            await fold_minutes(session, minutes_days=settings.statistics_minutes_days)
            await forget_old_counts(session)

    duties = (
        resend_lost_work,
        replace_lost_hints,
        expire_jobs,
        send_due_deliveries,
        resend_lost_validations,
        fold_old_statistics,
    )
    return [Duty(duty.__name__, duty) for duty in duties]
