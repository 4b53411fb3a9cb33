import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.database.engine import Database
from shared.settings import Settings
from tests.fixtures.processes import started
from workers import scheduler
from workers.duties import Duty
from workers.leader_lock import LeaderLock
from workers.scheduler import run_scheduler


class Rounds:
    """A duty that counts its rounds, and lets others wait for them."""

    def __init__(self, name: str, *, fails: bool = False) -> None:
        self.count = 0
        self.duty = Duty(name, self._run)
        self._fails = fails
        self._news = asyncio.Condition()

    async def _run(self) -> None:
        async with self._news:
            self.count += 1
            self._news.notify_all()
        if self._fails:
            raise RuntimeError("this duty always fails")

    async def wait_for(self, more: int, *, timeout_s: float = 20) -> None:
        wanted = self.count + more
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(lambda: self.count >= wanted)


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "TICK_S", 0.02)


@asynccontextmanager
async def scheduling(settings: Settings, *rounds: Rounds) -> AsyncIterator[asyncio.Event]:
    """A scheduler with these duties; it stops with the block, or by the event."""
    stop = asyncio.Event()
    lock = LeaderLock(settings.database_url)
    task = asyncio.create_task(run_scheduler(lock, [r.duty for r in rounds], stop))
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def end_leaders_session(database: Database) -> None:
    async with database.transaction() as session:
        ended = await session.scalars(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                " WHERE datname = current_database() AND locktype = 'advisory' AND granted"
            )
        )
        assert ended.all() == [True]


async def test_every_duty_is_done_again_and_again(settings: Settings):
    first, second = Rounds("first"), Rounds("second")

    async with scheduling(settings, first, second):
        await first.wait_for(3)
        await second.wait_for(3)


async def test_a_duty_that_fails_does_not_stop_the_others(settings: Settings):
    bad, good = Rounds("bad", fails=True), Rounds("good")

    async with scheduling(settings, bad, good):
        await good.wait_for(5)
        await bad.wait_for(2)  # and it is tried again itself


async def test_only_one_of_two_leads_and_the_other_takes_over_when_it_stops(settings: Settings):
    leading, standing_by = Rounds("leading"), Rounds("standing by")

    async with scheduling(settings, leading) as stop:
        await leading.wait_for(1)
        async with scheduling(settings, standing_by):
            await leading.wait_for(5)
            before = standing_by.count
            stop.set()
            await standing_by.wait_for(1)

    assert before == 0


async def test_a_leader_that_loses_its_session_stops_and_leads_again_later(
    settings: Settings, database: Database
):
    rounds = Rounds("rounds")

    async with scheduling(settings, rounds):
        await rounds.wait_for(1)
        await end_leaders_session(database)
        await rounds.wait_for(10)


async def test_stopping_waits_for_a_duty_in_hand(settings: Settings):
    begun, done = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        await asyncio.sleep(0.2)
        done.set()

    stop = asyncio.Event()
    task = asyncio.create_task(run_scheduler(LeaderLock(settings.database_url), [Duty("slow", slow)], stop))
    await begun.wait()
    stop.set()
    await asyncio.wait_for(task, 10)

    assert done.is_set()


async def test_a_stop_while_standing_by_is_heard(settings: Settings):
    leader = LeaderLock(settings.database_url)
    assert await leader.acquire()

    async with scheduling(settings, Rounds("never done")) as stop:
        stop.set()

    await leader.release()


async def test_a_leader_that_falls_silent_loses_the_lock(settings: Settings):
    """As one that was frozen, or cut off by the network: the server cannot see either."""
    silent = LeaderLock(settings.database_url, silence_limit_ms=200)
    other = LeaderLock(settings.database_url)
    assert await silent.acquire()
    assert not await other.acquire()

    async with asyncio.timeout(10):
        while not await other.acquire():
            await asyncio.sleep(0.02)

    assert not await silent.confirm()
    assert await other.confirm()
    await other.release()


async def test_a_database_that_is_away_is_no_error():
    lock = LeaderLock("postgresql+asyncpg://nobody@/nothing?host=/nowhere")

    assert not await lock.acquire()
    assert not await lock.confirm()
    await lock.release()


async def test_killing_the_leader_hands_over_to_the_other_process(settings: Settings, tmp_path: Path):
    with started("workers.scheduler", settings, tmp_path / "leader.log") as leader:
        await leader.wait_for_log("scheduler_leads")
        with started("workers.scheduler", settings, tmp_path / "standby.log") as standby:
            leader.kill()
            await standby.wait_for_log("scheduler_leads")
            standby.popen.send_signal(signal.SIGTERM)
            code = await standby.wait_until_ended()

    assert code == 0
    assert "duty_failed" not in standby.log.read_text()
