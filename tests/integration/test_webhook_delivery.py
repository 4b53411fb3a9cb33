"""The life of a delivery in the database. Nobody waits for the schedule: the rows are moved in time."""

import asyncio
import json
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from standardwebhooks import Webhook

from shared.access.tables import Tenant
from shared.database.engine import Database
from shared.settings import Settings
from shared.webhooks.asking import due_deliveries
from shared.webhooks.delivery import Outcome
from shared.webhooks.listing import DeliveryFilter, DeliveryView, list_deliveries, read_secret
from shared.webhooks.sender import Sender
from shared.webhooks.service import claim_attempt, record_event, record_outcome
from shared.webhooks.tables import CircuitRow, DeliveryRow
from tests.fixtures.webhooks import Answer, Receiver
from workers.webhooks import attempt_delivery


class Deliveries:
    """Deliveries of one tenant, and hands to move them in time."""

    def __init__(self, database: Database, settings: Settings, tenant_id: UUID) -> None:
        self.database, self.settings, self.tenant_id = database, settings, tenant_id

    async def record(self, url: str) -> UUID:
        async with self.database.transaction() as session:
            row = await record_event(
                session,
                tenant_id=self.tenant_id,
                job_id=None,
                url=url,
                event_type="job.succeeded",
                data={"id": "a job"},
            )
        return row.id

    async def attempt(self, delivery_id: UUID) -> None:
        await attempt_delivery(
            delivery_id, settings=self.settings, database=self.database, sender=Sender(self.settings)
        )

    async def claim(self, delivery_id: UUID):
        async with self.database.transaction() as session:
            return await claim_attempt(session, delivery_id, self.settings)

    async def report(self, attempt, outcome: Outcome) -> None:
        async with self.database.transaction() as session:
            await record_outcome(session, attempt, outcome)

    async def due(self) -> list[UUID]:
        async with self.database.transaction() as session:
            return await due_deliveries(session, self.settings)

    async def view(self, delivery_id: UUID) -> DeliveryView:
        async with self.database.transaction() as session:
            found = await list_deliveries(session, self.tenant_id, DeliveryFilter(), before=None, limit=100)
        return next(view for view in found if view.id == delivery_id)

    async def secret(self) -> str:
        async with self.database.transaction() as session:
            return await read_secret(session, self.tenant_id, self.settings)

    async def seconds_until_next(self, delivery_id: UUID) -> float:
        async with self.database.transaction() as session:
            wait = select(DeliveryRow.next_attempt_at - func.now()).where(DeliveryRow.id == delivery_id)
            return (await session.scalar(wait)).total_seconds()

    async def let_pass(self, delivery_id: UUID, *, seconds: float) -> None:
        """As if that much time had passed for the delivery."""
        gone = timedelta(seconds=seconds)
        async with self.database.transaction() as session:
            await session.execute(
                update(DeliveryRow)
                .where(DeliveryRow.id == delivery_id)
                .values(
                    next_attempt_at=DeliveryRow.next_attempt_at - gone,
                    sent_at=DeliveryRow.sent_at - gone,
                    lease_until=DeliveryRow.lease_until - gone,
                )
            )
            await session.execute(update(CircuitRow).values(open_until=CircuitRow.open_until - gone))


@pytest.fixture
async def deliveries(database: Database, settings: Settings) -> Deliveries:
    async with database.transaction() as session:
        tenant = Tenant(name="Ada", webhook_salt=b"salt of Ada")
        session.add(tenant)
        await session.flush()
        return Deliveries(database, settings, tenant.id)


async def test_a_receiver_that_fails_twice_gets_the_same_event_the_third_time(
    deliveries: Deliveries, receiver: Receiver
):
    receiver.answers.extend([Answer(500, body=b"not yet"), Answer(503)])
    delivery_id = await deliveries.record(receiver.url)

    await deliveries.attempt(delivery_id)
    await deliveries.let_pass(delivery_id, seconds=6)
    await deliveries.attempt(delivery_id)
    await deliveries.let_pass(delivery_id, seconds=331)
    await deliveries.attempt(delivery_id)

    view = await deliveries.view(delivery_id)
    assert view.status == "delivered"
    assert [(a.number, a.status_code) for a in view.attempts] == [(1, 500), (2, 503), (3, 204)]
    assert view.attempts[0].answer == "not yet"
    webhook = Webhook(await deliveries.secret())
    events = [webhook.verify(request.body, request.headers) for request in receiver.received]
    assert events[0]["type"] == "job.succeeded"
    assert events[0]["data"] == {"id": "a job"}
    assert events[0] == events[1] == events[2]
    assert {request.headers["webhook-id"] for request in receiver.received} == {str(delivery_id)}


async def test_ten_attempts_follow_the_schedule_and_then_it_fails(deliveries: Deliveries, receiver: Receiver):
    receiver.answers.extend([Answer(500)] * 20)
    delivery_id = await deliveries.record(receiver.url)
    waits_s = []

    for _ in range(9):
        await deliveries.attempt(delivery_id)
        waits_s.append(await deliveries.seconds_until_next(delivery_id))
        await deliveries.let_pass(delivery_id, seconds=waits_s[-1] - 1)
        await deliveries.attempt(delivery_id)  # a second too early
        await deliveries.let_pass(delivery_id, seconds=1)
    for _ in range(3):
        await deliveries.attempt(delivery_id)
        await deliveries.let_pass(delivery_id, seconds=100_000)

    minute, hour = 60, 3600
    schedule_s = [5, 5 * minute, 30 * minute, *(h * hour for h in (2, 5, 10, 14, 20, 24))]
    assert all(planned - 2 < wait <= planned * 1.1 for planned, wait in zip(schedule_s, waits_s, strict=True))
    view = await deliveries.view(delivery_id)
    assert view.status == "failed"
    assert len(view.attempts) == len(receiver.received) == 10


async def test_a_receiver_can_ask_to_be_left_alone_longer(deliveries: Deliveries, receiver: Receiver):
    receiver.answers.append(Answer(429, headers={"retry-after": "600"}))
    delivery_id = await deliveries.record(receiver.url)

    await deliveries.attempt(delivery_id)

    assert 599 < await deliveries.seconds_until_next(delivery_id) <= 660


async def test_an_attempt_before_its_time_does_nothing(deliveries: Deliveries, receiver: Receiver):
    receiver.answers.append(Answer(500))
    delivery_id = await deliveries.record(receiver.url)

    await deliveries.attempt(delivery_id)
    await deliveries.attempt(delivery_id)

    assert len(receiver.received) == 1


async def test_a_receiver_that_answers_gone_is_never_asked_again(deliveries: Deliveries, receiver: Receiver):
    receiver.answers.append(Answer(410))
    delivery_id = await deliveries.record(receiver.url)

    await deliveries.attempt(delivery_id)
    await deliveries.let_pass(delivery_id, seconds=100_000)
    await deliveries.attempt(delivery_id)

    view = await deliveries.view(delivery_id)
    assert view.status == "failed"
    assert view.next_attempt_at is None
    assert len(receiver.received) == 1
    assert await deliveries.due() == []


async def test_of_many_workers_one_makes_the_attempt(deliveries: Deliveries, receiver: Receiver):
    receiver.answers.append(Answer(delay_s=0.2))
    delivery_id = await deliveries.record(receiver.url)

    await asyncio.gather(*(deliveries.attempt(delivery_id) for _ in range(8)))

    assert len(receiver.received) == 1
    assert len((await deliveries.view(delivery_id)).attempts) == 1


async def test_an_attempt_counts_even_if_its_worker_is_lost(deliveries: Deliveries):
    delivery_id = await deliveries.record("http://127.0.0.1:1/")

    for _ in range(10):
        assert await deliveries.claim(delivery_id) is not None  # and its worker is never heard of again
        await deliveries.let_pass(delivery_id, seconds=60)

    assert await deliveries.claim(delivery_id) is None
    view = await deliveries.view(delivery_id)
    assert view.status == "failed"
    assert [a.number for a in view.attempts] == list(range(1, 11))
    assert {a.latency_ms for a in view.attempts} == {None}


async def test_a_failure_told_too_late_leaves_the_delivery_to_the_newer_attempt(deliveries: Deliveries):
    delivery_id = await deliveries.record("http://127.0.0.1:1/")
    late = await deliveries.claim(delivery_id)
    await deliveries.let_pass(delivery_id, seconds=60)
    newer = await deliveries.claim(delivery_id)

    await deliveries.report(late, Outcome(status_code=410))
    while_newer_runs = await deliveries.view(delivery_id)
    await deliveries.report(newer, Outcome(status_code=200))

    assert while_newer_runs.status == "pending"
    assert (await deliveries.view(delivery_id)).status == "delivered"


async def test_a_success_counts_however_late_it_is_told(deliveries: Deliveries):
    delivery_id = await deliveries.record("http://127.0.0.1:1/")
    late = await deliveries.claim(delivery_id)
    await deliveries.let_pass(delivery_id, seconds=60)
    newer = await deliveries.claim(delivery_id)

    await deliveries.report(late, Outcome(status_code=200))
    await deliveries.report(newer, Outcome(error="TimeoutError"))

    assert (await deliveries.view(delivery_id)).status == "delivered"


async def test_a_delivery_is_asked_for_when_its_time_comes_and_then_left_alone(
    deliveries: Deliveries, receiver: Receiver
):
    receiver.answers.append(Answer(500))
    delivery_id = await deliveries.record(receiver.url)
    await deliveries.attempt(delivery_id)

    too_early = await deliveries.due()
    await deliveries.let_pass(delivery_id, seconds=6)
    in_time = await deliveries.due()
    at_once_again = await deliveries.due()
    await deliveries.let_pass(delivery_id, seconds=21)  # and no worker has heard the message
    much_later = await deliveries.due()

    assert too_early == []
    assert in_time == [delivery_id]
    assert at_once_again == []
    assert much_later == [delivery_id]


async def test_a_delivery_whose_first_message_was_lost_is_asked_for(deliveries: Deliveries):
    delivery_id = await deliveries.record("http://127.0.0.1:1/")

    assert await deliveries.due() == []  # whoever recorded it is about to send the message
    await deliveries.let_pass(delivery_id, seconds=21)

    assert await deliveries.due() == [delivery_id]


async def test_a_body_keeps_its_bytes_however_often_it_is_sent(deliveries: Deliveries, receiver: Receiver):
    receiver.answers.append(Answer(500))
    delivery_id = await deliveries.record(receiver.url)

    await deliveries.attempt(delivery_id)
    await deliveries.let_pass(delivery_id, seconds=6)
    await deliveries.attempt(delivery_id)

    first, second = receiver.received
    assert first.body == second.body
    assert json.loads(first.body).keys() == {"type", "timestamp", "data"}


async def test_two_tenants_have_two_secrets(deliveries: Deliveries, database: Database, settings: Settings):
    async with database.transaction() as session:
        other = Tenant(name="Bob", webhook_salt=b"salt of Bob")
        session.add(other)
        await session.flush()
        bobs = await read_secret(session, other.id, settings)
        unseen = await list_deliveries(session, other.id, DeliveryFilter(), before=None, limit=10)

    await deliveries.record("http://127.0.0.1:1/")

    assert bobs != await deliveries.secret()
    assert unseen == []
