"""One receiver that hangs or fails takes nothing from the others."""

import asyncio
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import select

from shared.database.engine import Database
from shared.settings import Settings
from shared.webhooks.asking import due_deliveries
from shared.webhooks.publishing import publish_event
from shared.webhooks.redelivery import record_test
from shared.webhooks.service import claim_attempt, record_event
from shared.webhooks.tables import DeliveryRow, EndpointRow
from tests.fixtures.api import Account
from tests.fixtures.webhooks import Answer, Postman, Receiver, receiving


class Tenant:
    """Somebody with webhooks, to whom things happen."""

    def __init__(self, database: Database, settings: Settings, tenant_id: UUID) -> None:
        self.database, self.settings, self.tenant_id = database, settings, tenant_id

    async def listens(self, *urls: str) -> list[EndpointRow]:
        row = {"tenant_id": self.tenant_id, "events": [], "description": "", "salt": b"salt"}
        rows = [EndpointRow(**row, url=url, enabled=True) for url in urls]
        async with self.database.transaction() as session:
            session.add_all(rows)
        return rows

    async def sees(self) -> list[UUID]:
        async with self.database.transaction() as session:
            return await publish_event(
                session, tenant_id=self.tenant_id, event_type="model.ready", data={}, sends_messages=False
            )

    async def claims(self, delivery_id: UUID) -> bool:
        async with self.database.transaction() as session:
            return await claim_attempt(session, delivery_id, self.settings) is not None

    async def due(self) -> list[UUID]:
        async with self.database.transaction() as session:
            return await due_deliveries(session, self.settings)

    async def rows(self) -> list[DeliveryRow]:
        async with self.database.transaction() as session:
            return list(await session.scalars(select(DeliveryRow).order_by(DeliveryRow.id)))


@pytest.fixture
async def tenant(database: Database, settings: Settings, account: Account) -> Tenant:
    return Tenant(database, settings, account.tenant_id)


async def test_a_receiver_that_hangs_takes_the_limit_five_times_and_is_then_left_alone(
    tenant: Tenant, receiver: Receiver, *, database: Database, settings: Settings
):
    postman = Postman(database, msgspec.structs.replace(settings, webhook_timeout_s=0.3))
    receiver.answers.extend([Answer(delay_s=60)] * 10)
    await tenant.listens(receiver.url)
    ids = [(await tenant.sees())[0] for _ in range(10)]

    for _ in range(3):
        await asyncio.gather(*(postman.attempts(delivery_id) for delivery_id in ids))

    rows = await tenant.rows()
    assert sum(row.attempts for row in rows) == receiver.connections
    assert 5 <= receiver.connections <= 8  # four side by side, and four beside the fifth that failed
    assert {row.status for row in rows} == {"pending"}
    assert await tenant.due() == []


async def test_a_place_that_becomes_free_goes_to_a_delivery_that_was_refused_it(
    tenant: Tenant, receiver: Receiver, *, database: Database, settings: Settings
):
    narrow = msgspec.structs.replace(settings, webhook_attempts_per_endpoint=1)
    tenant.settings, postman = narrow, Postman(database, narrow)
    await tenant.listens(receiver.url)
    first, second = [(await tenant.sees())[0] for _ in range(2)]
    receiver.answers.append(Answer(delay_s=0.2))

    attempt = asyncio.create_task(postman.attempts(first))
    await receiver.wait_for(1)
    refused = not await tenant.claims(second)
    next_one = await attempt

    assert refused
    assert next_one == [second]
    assert await postman.attempts(second) == []
    assert {row.status for row in await tenant.rows()} == {"delivered"}


async def test_all_endpoints_of_a_tenant_leave_room_for_other_tenants(
    tenant: Tenant, stranger: Account, database: Database, settings: Settings
):
    await tenant.listens(*[f"http://127.0.0.1:1/{n}" for n in range(10)])
    other = Tenant(database, settings, stranger.tenant_id)
    await other.listens("http://127.0.0.1:1/")

    claimed = [await tenant.claims(delivery_id) for delivery_id in await tenant.sees()]
    others = [await other.claims(delivery_id) for delivery_id in await other.sees()]

    assert claimed == [True] * 8 + [False] * 2
    assert others == [True]


async def test_the_scheduler_asks_for_some_of_every_receiver_of_every_tenant(
    tenant: Tenant, stranger: Account, database: Database, settings: Settings
):
    await tenant.listens("http://127.0.0.1:1/")
    for _ in range(20):
        await tenant.sees()
    await tenant.listens("http://127.0.0.1:2/")
    await tenant.sees()
    other = Tenant(database, settings, stranger.tenant_id)
    await other.listens("http://127.0.0.1:1/")
    (others,) = await other.sees()

    asked = await tenant.due()

    assert len(asked) == 4 + 1 + 1
    assert others in asked


async def test_after_five_failures_in_a_row_what_waits_is_passed_over_without_an_attempt(
    tenant: Tenant, receiver: Receiver, postman: Postman
):
    receiver.answers.extend([Answer(500)] * 6)
    await tenant.listens(receiver.url)
    ids = [(await tenant.sees())[0] for _ in range(7)]

    for delivery_id in ids[:5]:
        await postman.attempts(delivery_id)
    await postman.goes_round()
    broken, asked_meanwhile = await tenant.rows(), await tenant.due()
    (late,) = await tenant.sees()
    await postman.goes_round()
    await postman.let_pass(seconds=31)
    await asyncio.gather(*(postman.attempts(delivery_id) for delivery_id in ids))
    probed = len(receiver.received)
    await postman.let_pass(seconds=400)
    for _ in range(4):  # first one alone, then four at once
        await postman.goes_round()

    assert [row.attempts for row in broken] == [1] * 5 + [0] * 2
    assert asked_meanwhile == []
    assert probed == 6  # one tries it, and fails
    rows = await tenant.rows()
    assert next(row for row in rows if row.id == late).status == "delivered"
    assert {row.status for row in rows} == {"delivered"}


async def test_a_test_is_sent_in_a_pause_and_its_success_ends_that(
    tenant: Tenant, receiver: Receiver, postman: Postman
):
    receiver.answers.extend([Answer(500)] * 5)
    (endpoint,) = await tenant.listens(receiver.url)
    ids = [(await tenant.sees())[0] for _ in range(6)]
    for delivery_id in ids[:5]:
        await postman.attempts(delivery_id)
    await postman.attempts(ids[5])
    before = len(receiver.received)

    async with tenant.database.transaction() as session:
        tried = await record_test(session, tenant.tenant_id, str(endpoint.id))
    await postman.attempts(tried)
    await postman.attempts(ids[5])

    assert before == 5
    done = {row.id for row in await tenant.rows() if row.status == "delivered"}
    assert done == {tried, ids[5]}


async def test_callback_urls_of_one_host_fail_together_and_take_no_other_host_with_them(
    tenant: Tenant, receiver: Receiver, postman: Postman, database: Database
):
    async with receiving() as failing:
        failing.answers.extend([Answer(500)] * 10)
        for n in range(7):
            await record(database, tenant, f"{failing.url}/{n}")
        healthy = await record(database, tenant, receiver.url)

        for row in await tenant.rows():
            await postman.attempts(row.id)

    assert len(failing.received) == 5
    assert next(row for row in await tenant.rows() if row.id == healthy).status == "delivered"


async def test_a_receiver_that_fails_one_tenant_is_still_tried_for_another(
    tenant: Tenant, stranger: Account, postman: Postman, *, database: Database, settings: Settings
):
    other = Tenant(database, settings, stranger.tenant_id)
    for _ in range(6):
        await postman.attempts(await record(database, tenant, "http://127.0.0.1:1/"))

    assert not await tenant.claims(await record(database, tenant, "http://127.0.0.1:1/"))
    assert await other.claims(await record(database, other, "http://127.0.0.1:1/"))


async def record(database: Database, tenant: Tenant, url: str) -> UUID:
    async with database.transaction() as session:
        row = await record_event(
            session, tenant_id=tenant.tenant_id, job_id=None, url=url, event_type="job.failed", data={}
        )
    return row.id
