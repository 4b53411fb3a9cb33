"""Webhooks through processes of their own: the worker, and the scheduler that asks it for attempts.

The tests share them, as starting one takes longer than most of what is shown.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select
from standardwebhooks import Webhook

from shared.database.engine import Database
from shared.messaging.actors import DELIVER
from shared.messaging.broker import Messenger
from shared.settings import Settings
from shared.webhooks.tables import CircuitRow
from tests.fixtures.processes import Process, started
from tests.fixtures.servers import settings_for
from tests.fixtures.webhook_owner import Owner
from tests.fixtures.webhooks import Answer, Postman, Receiver, receiving

Tell = Callable[..., Awaitable[None]]

pytestmark = pytest.mark.xdist_group("test_webhook_worker")


class Processes:
    """A scheduler, and a worker that a test may end."""

    def __init__(self, settings: Settings, folder: Path, stack: ExitStack) -> None:
        self.settings, self._folder, self._stack = settings, folder, stack
        self._lives = 0
        self._worker: Process | None = None
        stack.enter_context(started("workers.scheduler", settings, folder / "scheduler.log"))

    def worker(self) -> Process:
        """The one that runs; another where it has ended."""
        if self._worker is None or self._worker.popen.poll() is not None:
            self._lives += 1
            log = self._folder / f"worker-{self._lives}.log"
            self._worker = self._stack.enter_context(started("workers.webhooks", self.settings, log))
        return self._worker


@pytest.fixture(scope="module")
def processes(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Processes]:
    folder = tmp_path_factory.mktemp("webhooks")
    with ExitStack() as stack:
        settings = settings_for(database_url, redis_url, folder)
        patient = msgspec.structs.replace(
            settings, webhook_timeout_s=60
        )  # what hangs, hangs for the test's time
        yield Processes(patient, folder, stack)


@pytest.fixture
def tell(owner: Owner, messenger: Messenger) -> Tell:
    """Has an event happen as the platform does: recorded, and then asked for."""

    async def happens(event_type: str = "model.ready") -> None:
        for delivery_id in await owner.sees(event_type):
            await messenger.send(DELIVER, delivery_id)

    return happens


async def test_a_worker_killed_in_the_middle_of_an_attempt_loses_nothing(
    processes: Processes, owner: Owner, receiver: Receiver, *, tell: Tell, postman: Postman
):
    receiver.answers.append(Answer(delay_s=60))
    webhook = await owner.makes(receiver.url)
    worker = processes.worker()
    await tell()
    await receiver.wait_for(1)

    worker.kill()
    await postman.let_pass(seconds=processes.settings.webhook_timeout_s + 10)
    await processes.worker().wait_for_log("delivery_attempted")

    first, second = receiver.received
    (shown,) = await owner.log(webhook)
    assert shown["status"] == "delivered"
    assert [a["status_code"] for a in shown["attempts"]] == [None, 204]
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == shown["id"]


async def test_the_scheduler_asks_for_the_next_attempt(
    processes: Processes, owner: Owner, receiver: Receiver, postman: Postman
):
    """No message is sent here: the scheduler finds the delivery in Postgres, twice."""
    worker = processes.worker()
    before = worker.log.read_text().count("delivery_attempted")
    receiver.answers.append(Answer(500))
    webhook = await owner.makes(receiver.url)
    await owner.sees()
    await postman.let_pass(seconds=60)

    await worker.wait_for_log("delivery_attempted", times=before + 1)
    await postman.let_pass(seconds=6)
    await worker.wait_for_log("delivery_attempted", times=before + 2)

    (shown,) = await owner.log(webhook)
    assert [a["status_code"] for a in shown["attempts"]] == [500, 204]
    assert shown["status"] == "delivered"
    assert len(receiver.received) == 2


async def test_nineteen_endpoints_get_every_event_while_the_first_attempts_at_the_twentieth_hang(
    processes: Processes, owner: Owner, receiver: Receiver, *, tell: Tell, database: Database
):
    processes.worker()
    async with receiving() as hanging:
        hanging.answers.extend([Answer(delay_s=60)] * 4)
        hanging.answers.extend([Answer(500)] * 100)
        twentieth = await owner.makes(hanging.url)
        for _ in range(10):
            await tell()  # what waits for it is the oldest
        others = [await owner.makes(f"{receiver.url}/{n}") for n in range(19)]
        secrets = {f"/hooks/{n}": other["secret"] for n, other in enumerate(others)}

        await tell("model.ready")
        await tell("job.failed")
        await receiver.wait_for(2 * 19)
        meanwhile = await owner.log(twentieth)
        hanging.hang_up()
        await circuit_opens(database, twentieth["id"])
        broken = hanging.connections
        await tell("job.succeeded")
        received = await receiver.wait_for(3 * 19)

    begun = [attempt for each in meanwhile for attempt in each["attempts"]]
    assert [attempt["latency_ms"] for attempt in begun] == [None] * 4  # as many as may run at once, and run
    told = [(r.target, Webhook(secrets[r.target]).verify(r.body, r.headers)["type"]) for r in received]
    events = ("model.ready", "job.failed", "job.succeeded")
    assert sorted(told) == sorted((path, event) for path in secrets for event in events)
    assert 5 <= broken <= 8  # five failures in a row, and those that ran beside the fifth
    assert hanging.connections <= 8
    assert {each["status"] for each in await owner.log(twentieth)} == {"pending"}


async def test_a_worker_stops_by_itself_when_told_and_logs_no_secret(
    processes: Processes, owner: Owner, receiver: Receiver, tell: Tell
):
    worker = processes.worker()
    webhook = await owner.makes(receiver.url + "?token=hunter2")
    await tell()
    await receiver.wait_for(1)

    worker.popen.terminate()
    code = await worker.wait_until_ended()

    assert code == 0
    assert [each["status"] for each in await owner.log(webhook)] == ["delivered"]
    log = worker.log.read_text()
    assert "delivery_attempted" in log
    assert "hunter2" not in log
    assert webhook["secret"] not in log


async def circuit_opens(database: Database, target: str) -> None:
    """Return once the target is left alone."""
    query = select(CircuitRow.open_until).where(CircuitRow.target == target)
    async with asyncio.timeout(30):
        while True:
            async with database.transaction() as session:
                if await session.scalar(query) is not None:
                    return
            await asyncio.sleep(0.02)
