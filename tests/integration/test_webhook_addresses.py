"""Addresses inside the network, at a worker that may not send there: a receiver counts what arrives.

Worker, receiver and name server have an Internet of their own, so that the way from a name to a connection is
the real one, and so that what the guard would let through does arrive.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import pytest
from sqlalchemy import select

from shared.database.engine import Database
from shared.messaging.actors import DELIVER
from shared.messaging.broker import Messenger
from shared.webhooks.service import record_event
from shared.webhooks.tables import DeliveryAttemptRow
from tests.fixtures.api import Account
from tests.fixtures.name_server import AAAA, A
from tests.fixtures.own_internet import PUBLIC, OwnInternet
from tests.fixtures.processes import Process, started
from tests.fixtures.servers import settings_for
from tests.fixtures.webhooks import Answer, Receiver

pytestmark = pytest.mark.xdist_group("test_webhook_addresses")

Attempts = Callable[[str], Awaitable[DeliveryAttemptRow]]


@pytest.fixture(scope="module")
def worker(
    own_internet: OwnInternet, database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("addresses")
    settings = msgspec.structs.replace(
        settings_for(database_url, redis_url, folder), allow_private_webhooks=False
    )
    with started("workers.webhooks", settings, folder / "worker.log", through=own_internet.enter) as worker:
        yield worker


@pytest.fixture
def receiver(own_internet: OwnInternet) -> Receiver:
    """The one that all of these addresses lead to, with nothing received."""
    own_internet.receiver.received.clear()
    own_internet.receiver.connections = 0
    return own_internet.receiver


@pytest.fixture
def attempts(database: Database, account: Account, messenger: Messenger, worker: Process) -> Attempts:
    """Has the worker send an event to a URL; what came of the attempt."""

    async def sent(url: str) -> DeliveryAttemptRow:
        event = {"tenant_id": account.tenant_id, "job_id": None, "event_type": "job.failed", "data": {}}
        async with database.transaction() as session:
            delivery = await record_event(session, url=url, **event)
        await messenger.send(DELIVER, delivery.id)
        ended = select(DeliveryAttemptRow).where(
            DeliveryAttemptRow.delivery_id == delivery.id, DeliveryAttemptRow.latency_ms.is_not(None)
        )
        async with asyncio.timeout(30):
            while True:
                async with database.transaction() as session:
                    if attempt := await session.scalar(ended):
                        return attempt
                assert worker.popen.poll() is None, worker.log.read_text()
                await asyncio.sleep(0.02)

    return sent


async def test_no_spelling_of_an_address_inside_is_connected_to(attempts: Attempts, receiver: Receiver):
    """As they stand in rows of a time when they were allowed."""
    hosts = ["127.0.0.1", "localhost", "127.1", "2130706433", "017700000001", "0x7f.0.0.1"]
    hosts += ["0x7f000001", "0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]"]

    ended = [await attempts(f"http://{host}:{receiver.port}/hooks") for host in hosts]

    assert {(attempt.status_code, attempt.error.split(":")[0]) for attempt in ended} == {
        (None, "CallbackUrlRefused")
    }
    assert receiver.connections == 0


async def test_no_name_of_an_address_inside_is_connected_to(
    attempts: Attempts, receiver: Receiver, own_internet: OwnInternet
):
    inside = ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]
    for number, address in enumerate(inside):
        own_internet.names.says(f"inside-{number}.example", [address])
    own_internet.names.says("mixed.example", [PUBLIC, "127.0.0.1"])
    names = [*(f"inside-{number}.example" for number in range(len(inside))), "mixed.example"]

    ended = [await attempts(f"http://{name}:{receiver.port}/hooks") for name in names]

    assert {attempt.error for attempt in ended} == {
        "AddressRefused: the name leads to a private or reserved address"
    }
    assert receiver.connections == 0
    assert own_internet.names.asked["mixed.example", A] == 1


async def test_a_name_that_turns_inside_is_judged_at_every_attempt_and_asked_for_once(
    attempts: Attempts, receiver: Receiver, own_internet: OwnInternet
):
    """DNS rebinding: whoever asked a second time, to connect, would be led inside."""
    own_internet.names.says("turning.example", [PUBLIC], ["127.0.0.1"])
    url = f"http://turning.example:{receiver.port}/hooks"

    first = await attempts(url)
    asked = {kind: own_internet.names.asked["turning.example", kind] for kind in (A, AAAA)}
    second = await attempts(url)

    assert first.status_code == 204
    assert asked == {A: 1, AAAA: 1}
    assert [request.address for request in receiver.received] == [PUBLIC]
    assert second.error == "AddressRefused: the name leads to a private or reserved address"
    assert receiver.connections == 1


async def test_a_public_receiver_cannot_redirect_inside(
    attempts: Attempts, receiver: Receiver, own_internet: OwnInternet
):
    own_internet.names.says("public.example", [PUBLIC])
    inside = {"location": f"http://127.0.0.1:{receiver.port}/inside"}
    statuses = [301, 302, 303, 307, 308]
    receiver.answers.extend(Answer(status, headers=inside) for status in statuses)

    # The last of them opens the circuit: five failures in a row.
    ended = [await attempts(f"http://public.example:{receiver.port}/hooks") for _ in statuses]

    assert [attempt.error for attempt in ended] == [f"the receiver answered {status}" for status in statuses]
    assert [(one.address, one.target) for one in receiver.received] == [(PUBLIC, "/hooks")] * 5
    assert receiver.connections == 5
