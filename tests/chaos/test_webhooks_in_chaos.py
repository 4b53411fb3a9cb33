"""A burst of events while every process that has a part in them is killed, as a seed has it.

Whatever happens: each event reaches each webhook that wants it at least once, by its own id and under a
signature that verifies, and every delivery says so.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient, HTTPError, Response
from sqlalchemy import select, update
from standardwebhooks import Webhook

from shared.access.caller import Caller
from shared.access.tokens import AccessTokens
from shared.database.engine import Database
from shared.settings import Settings
from shared.webhooks.tables import DeliveryRow
from tests.fixtures.chaos import SEEDS, SERVERS, Chaos, Fleet, kills_of_each
from tests.fixtures.jobs import ServeModel
from tests.fixtures.mortal_servers import MortalServers
from tests.fixtures.touchy import saved
from tests.fixtures.webhooks import Answer, Received, Receiver, receiving

ROLES = ("api", "batch 1", "scheduler 1", "webhooks")
ROUNDS = 2 if len(SEEDS) > 1 else 1  # of kills; one for a run of all tests, which takes long enough
ENDPOINTS = 3
MOST_JOBS = 24
CALM_S = 120  # that all of it may take after the last kill
ROWS = b"x0,x1\n" + b"1.5,2.5\n" * 10


class Submitter:
    """A client of the API that asks again until it is heard."""

    def __init__(self, settings: Settings, caller: Caller) -> None:
        token = AccessTokens(settings.secret_key, ttl_s=3600).issue(caller)
        self.http = AsyncClient(
            base_url=f"http://127.0.0.1:{settings.port}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=5,
        )
        self.jobs: list[str] = []
        self._numbers = iter(range(MOST_JOBS))

    async def submits_until(self, over: asyncio.Event) -> None:
        """One job after the other; every third is cancelled by the API itself."""
        for number in self._numbers:
            form = {"data": {"model": "touchy"}, "files": {"file": ("rows.csv", ROWS)}}
            job = (
                await self.asks("POST", "/jobs", headers={"Idempotency-Key": f"job {number}"}, **form)
            ).json()
            if number % 3 == 0:
                await self.asks("POST", f"/jobs/{job['id']}/cancel")
            self.jobs.append(job["id"])
            if over.is_set():
                break

    async def asks(self, method: str, path: str, **request: Any) -> Response:
        """The answer, once there is one that is not about the moment."""
        async with asyncio.timeout(CALM_S):
            while True:
                try:
                    answer = await self.http.request(method, path, **request)
                except HTTPError:
                    answer = Response(HTTPStatus.BAD_GATEWAY)
                if answer.is_success or answer.status_code == HTTPStatus.CONFLICT:  # it has ended already
                    return answer
                assert answer.is_server_error, answer.text
                await asyncio.sleep(0.1)


class Listeners:
    """Webhooks with a receiver each, all of which want every event, but one that is switched off."""

    def __init__(self, receivers: list[Receiver], off: Receiver) -> None:
        self.receivers, self.off = receivers, off
        self.secrets: dict[str, str] = {}  # by the id of the webhook
        self._of: dict[str, Receiver] = {}

    async def are_made_by(self, submitter: Submitter) -> None:
        for receiver in self.receivers:
            receiver.answers.append(Answer(500))
            made = (await submitter.asks("POST", "/webhooks", json={"url": receiver.url})).json()
            self.secrets[made["id"]], self._of[made["id"]] = made["secret"], receiver
        await submitter.asks("POST", "/webhooks", json={"url": self.off.url, "enabled": False})

    def heard(self) -> set[tuple[str, str, str]]:
        """Webhook, id of the delivery, and job, of all that was received and verified."""
        return {
            (webhook, one.headers["webhook-id"], self._verified(webhook, one)["data"]["id"])
            for webhook, receiver in self._of.items()
            for one in _sent_to(receiver)
        }

    def _verified(self, webhook: str, received: Received) -> Any:
        return Webhook(self.secrets[webhook]).verify(received.body, received.headers)


@pytest.fixture
async def listeners() -> AsyncIterator[Listeners]:
    async with AsyncExitStack() as stack:
        first, *others = [await stack.enter_async_context(receiving()) for _ in range(ENDPOINTS + 1)]
        yield Listeners(others, first)


@pytest.fixture
async def submitter(settings: Settings, caller: Caller) -> AsyncIterator[Submitter]:
    submitter = Submitter(settings, caller)
    yield submitter
    await submitter.http.aclose()


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        fleet = Fleet(settings, tmp_path, stack)
        for role in ROLES:
            fleet.start(role)
        yield fleet


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_webhook_hears_of_every_event_whoever_is_killed(
    seed: int,
    fleet: Fleet,
    servers: MortalServers,
    *,
    listeners: Listeners,
    submitter: Submitter,
    serve_model: ServeModel,
    database: Database,
    tmp_path: Path,
):
    await serve_model("touchy", saved(tmp_path / "touchy.pkl"))
    await listeners.are_made_by(submitter)

    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(submitter.submits_until(over))
        await Chaos(fleet, servers).reign(kills_of_each(seed, (*ROLES, *SERVERS), rounds=ROUNDS))
        over.set()
    rows = await all_delivered(database, expected=len(submitter.jobs) * ENDPOINTS)

    assert listeners.heard() == {(str(row.endpoint_id), str(row.id), str(row.job_id)) for row in rows}
    assert Counter(str(row.job_id) for row in rows) == dict.fromkeys(submitter.jobs, ENDPOINTS)
    assert {row.body for row in rows if row.event_type not in {"job.succeeded", "job.cancelled"}} == set()
    assert _sent_to(listeners.off) == []
    assert fleet.ended_by_themselves() == []


async def all_delivered(database: Database, *, expected: int) -> list[DeliveryRow]:
    """The deliveries, as soon as every job has ended and all that there are were delivered."""
    async with asyncio.timeout(CALM_S):
        while True:
            await hurry(database)
            async with database.transaction() as session:
                rows = list(await session.scalars(select(DeliveryRow)))
            if len(rows) >= expected and all(row.status == "delivered" for row in rows):
                return rows
            await asyncio.sleep(0.2)


async def hurry(database: Database) -> None:
    """Nobody waits minutes for the third attempt at what a killed worker had in hand, nor for its lease."""
    async with database.transaction() as session:
        await session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.status == "pending", DeliveryRow.attempts > 0)
            .values(
                next_attempt_at=DeliveryRow.next_attempt_at - timedelta(hours=1),
                lease_until=DeliveryRow.lease_until - timedelta(seconds=1),
            )
        )


def _sent_to(receiver: Receiver) -> list[Received]:
    """Without what another test's client sends to a port that its server had a moment before."""
    return [one for one in receiver.received if one.target == "/hooks"]
