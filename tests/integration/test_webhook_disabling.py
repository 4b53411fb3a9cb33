"""Webhooks that are switched off, by their owner or by what they answer, and what is sent again."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from httpx import AsyncClient
from sqlalchemy import func, select, update

from shared.database.engine import Database
from shared.mail.tables import MailRow
from shared.webhooks.tables import DeliveryRow
from tests.fixtures.api import Account
from tests.fixtures.webhook_owner import Owner
from tests.fixtures.webhooks import Answer, Postman, Receiver

API = "/api/v1/webhooks"
LONG_AGO = "2020-01-01T00:00:00Z"


async def test_a_redelivery_has_the_same_id_and_a_schedule_of_its_own(
    owner: Owner, receiver: Receiver, postman: Postman
):
    webhook = await owner.makes(receiver.url)
    (delivery,) = await owner.sees()
    await postman.goes_round()
    receiver.answers.extend([Answer(500)] * 2)

    answer = await owner.asks("POST", f"/deliveries/{delivery}/redeliver")
    await postman.goes_round()
    await postman.let_pass(seconds=6)
    await postman.goes_round()
    (third,) = await owner.log(webhook)

    assert answer["status"] == "pending"
    assert {request.headers["webhook-id"] for request in receiver.received} == {str(delivery)}
    assert {request.body for request in receiver.received} == {receiver.received[0].body}
    assert [a["number"] for a in third["attempts"]] == [1, 2, 3]
    left = datetime.fromisoformat(third["next_attempt_at"]) - datetime.now(UTC)
    assert timedelta(minutes=4) < left < timedelta(minutes=6)  # as after the second attempt of any schedule


async def test_a_redelivery_asked_for_during_the_last_attempt_is_not_lost(
    owner: Owner, receiver: Receiver, postman: Postman, database: Database
):
    webhook = await owner.makes(receiver.url)
    (delivery,) = await owner.sees()
    async with database.transaction() as session:
        await session.execute(update(DeliveryRow).values(attempts=9))
    receiver.answers.append(Answer(500, delay_s=0.2))

    attempt = asyncio.create_task(postman.attempts(delivery))
    await receiver.wait_for(1)
    await owner.asks("POST", f"/deliveries/{delivery}/redeliver")
    await attempt
    await postman.let_pass(seconds=60)  # the lease runs out
    await postman.goes_round()

    assert [each["status"] for each in await owner.log(webhook)] == ["delivered"]


async def test_a_410_disables_at_once_and_the_owner_is_told(
    owner: Owner, receiver: Receiver, postman: Postman, database: Database, account: Account
):
    webhook = await owner.makes(f"{receiver.url}?token=hunter2")
    receiver.answers.append(Answer(410))
    (first,) = await owner.sees()
    await postman.attempts(first)
    await owner.sees()  # nobody listens any more

    shown = await owner.asks("GET", f"/webhooks/{webhook['id']}")
    (gone,) = await owner.log(webhook)
    mail = await only_mail(database, account.email)
    act, _ = (await owner.asks("GET", "/audit-log", target=webhook["id"]))["items"]

    assert (shown["enabled"], shown["disabled_reason"]) == (False, "gone")
    assert (gone["status"], gone["next_attempt_at"]) == ("failed", None)
    assert webhook["id"] in mail.text
    assert "127.0.0.1" in mail.subject
    assert "hunter2" not in mail.text + mail.subject
    assert (act["action"], act["actor"]["type"], act["after"]) == (
        "webhook.disable",
        "system",
        {"reason": "gone", "held": 0},
    )


async def test_the_end_of_the_schedule_disables_and_what_waited_is_held_until_it_is_asked_for(
    owner: Owner, receiver: Receiver, postman: Postman, *, database: Database, account: Account
):
    webhook = await owner.makes(receiver.url)
    receiver.answers.extend([Answer(500)] * 11)
    await owner.sees()
    for _ in range(9):
        await postman.goes_round()
        await postman.let_pass(seconds=100_000)
    (waiting,) = await owner.sees("job.failed")
    await postman.let_pass(seconds=-60)
    await past_due(database, but=waiting)

    await postman.goes_round()
    await postman.let_pass(seconds=100_000)
    await postman.goes_round()
    held, failed = await owner.log(webhook)
    await owner.asks("PATCH", f"/webhooks/{webhook['id']}", {"enabled": True})
    receiver.answers.clear()
    again = await owner.asks("POST", f"/webhooks/{webhook['id']}/redeliver", {"since": LONG_AGO})
    await postman.goes_round()

    assert (held["status"], failed["status"]) == ("held", "failed")
    assert held["attempts"] == []
    assert len(failed["attempts"]) == 10
    assert "ten attempts" in (await only_mail(database, account.email)).text
    assert again == {"count": 2, "more": False}
    assert [each["status"] for each in await owner.log(webhook)] == ["delivered"] * 2


async def test_nothing_is_sent_to_a_webhook_that_its_owner_switched_off(
    client: AsyncClient, owner: Owner, receiver: Receiver, postman: Postman, *, database: Database
):
    webhook = await owner.makes(receiver.url)
    (delivery,) = await owner.sees()
    off = await owner.asks("PATCH", f"/webhooks/{webhook['id']}", {"enabled": False})
    await postman.attempts(delivery)

    refusals = [
        await client.post(path, json=body, headers=owner.account.headers)
        for path, body in [
            (f"{API}/{webhook['id']}/test", None),
            (f"{API}/{webhook['id']}/redeliver", {"since": LONG_AGO}),
            (f"/api/v1/deliveries/{delivery}/redeliver", None),
        ]
    ]

    assert off["disabled_reason"] == "owner"
    assert receiver.received == []
    assert {(r.status_code, r.json()["code"]) for r in refusals} == {(409, "webhook_disabled")}
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(MailRow)) == 0


async def test_an_event_goes_to_the_address_that_the_webhook_has_now(
    owner: Owner, receiver: Receiver, postman: Postman
):
    webhook = await owner.makes("http://127.0.0.1:1/")
    await owner.sees()

    await owner.asks("PATCH", f"/webhooks/{webhook['id']}", {"url": receiver.url})
    await postman.goes_round()
    act, _ = (await owner.asks("GET", "/audit-log", target=webhook["id"]))["items"]

    assert [each["url"] for each in await owner.log(webhook)] == [receiver.url]
    assert len(receiver.received) == 1
    assert act["before"] == act["after"] == {"url": "(not kept)", "host": "127.0.0.1"}


async def test_deliveries_go_with_their_webhook_even_while_one_is_made(
    owner: Owner, receiver: Receiver, postman: Postman, database: Database
):
    webhook = await owner.makes(receiver.url)
    await owner.sees()
    receiver.answers.append(Answer(500, delay_s=0.2))

    attempt = asyncio.create_task(postman.goes_round())
    await receiver.wait_for(1)
    await owner.asks("DELETE", f"/webhooks/{webhook['id']}")
    await attempt

    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(DeliveryRow)) == 0


async def past_due(database: Database, *, but: UUID) -> None:
    """Make all deliveries due, but for one."""
    async with database.transaction() as session:
        due = update(DeliveryRow).where(DeliveryRow.id != but)
        await session.execute(due.values(next_attempt_at=func.now() - timedelta(seconds=1)))


async def only_mail(database: Database, address: str) -> MailRow:
    async with database.transaction() as session:
        (mail,) = await session.scalars(select(MailRow).where(MailRow.to == address))
        return mail
