"""`python -m workers.scheduler`: one leader that does the duties; every other copy stands by."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

import structlog

from shared.database.engine import Database
from shared.logs import configure_logs
from shared.messaging.broker import Messenger, connect_broker
from shared.messaging.redis import connect_redis
from shared.metrics.publisher import MetricsPublisher
from shared.settings import Settings
from shared.storage.store import Storage
from workers.duties import Duty, all_duties
from workers.leader_lock import LeaderLock

log = structlog.get_logger()

TICK_S = 1.0  # between two rounds of a duty, and between two tries to become the leader
MAX_PAUSE_S = 5.0  # of a duty that keeps failing
DUTY_LIMIT_S = 30.0


async def run_scheduler(lock: LeaderLock, duties: Sequence[Duty], stop: asyncio.Event) -> None:
    """Lead whenever nobody else does, until `stop`. A database that is away is waited for."""
    while not stop.is_set():
        if await lock.acquire():
            log.info("scheduler_leads")
            await _lead(lock, duties, stop)
            log.info("scheduler_stands_by")
        await _pause(stop, TICK_S)
    await lock.release()


async def _lead(lock: LeaderLock, duties: Sequence[Duty], stop: asyncio.Event) -> None:
    """Repeat every duty, each at its own pace, until `stop` or until the lock is lost."""
    ended = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for duty in duties:
            group.create_task(_repeat(duty, ended))
        while not stop.is_set() and await lock.confirm():
            await _pause(stop, TICK_S)
        ended.set()  # what runs may end: a duty that has noted a message should send it, too


async def _repeat(duty: Duty, ended: asyncio.Event) -> None:
    pause_s = TICK_S
    while not ended.is_set():
        done = await _do(duty)
        pause_s = TICK_S if done else min(2 * pause_s, MAX_PAUSE_S)
        await _pause(ended, pause_s)


async def _do(duty: Duty) -> bool:
    """Run the duty once. Its failure is its own: the others go on."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(DUTY_LIMIT_S):
            await duty.run()
    except Exception:
        log.exception("duty_failed", duty=duty.name)
        return False
    log.debug("duty_done", duty=duty.name, duration_ms=round((time.monotonic() - started) * 1000, 1))
    return True


async def _pause(until: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(until.wait(), seconds)


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    database, redis = Database(settings.database_url), connect_redis(settings.redis_url)
    messenger = Messenger(connect_broker(settings))
    storage = Storage(settings.storage_url)
    duties = all_duties(settings, database=database, redis=redis, messenger=messenger, storage=storage)
    publisher = MetricsPublisher(redis, "scheduler")
    await publisher.start()
    await run_scheduler(LeaderLock(settings.database_url), duties, stop)
    await publisher.close()
    messenger.close()
    await redis.aclose()
    await database.close()


def main() -> None:
    """Schedule until a signal says stop."""
    settings = Settings.from_env(os.environ)
    configure_logs(settings, "scheduler")
    asyncio.run(_main(settings))


if __name__ == "__main__":
    main()
