"""Webhooks for their owners: made, changed, told of by name, switched off, tried, and sent again."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient
from sqlalchemy import func, select, update
from standardwebhooks import Webhook, WebhookVerificationError

from shared.access.tables import Tenant
from shared.database.engine import Database
from shared.mail.tables import MailRow
from shared.webhooks.publishing import publish_event
from shared.webhooks.tables import DeliveryRow, EndpointRow
from tests.fixtures.api import Account
from tests.fixtures.webhooks import Answer, Postman, Receiver

API = "/api/v1/webhooks"
NEVER = "00000000-0000-7000-8000-000000000000"
LONG_AGO = "2020-01-01T00:00:00Z"


class Owner:
    """Somebody with webhooks, to whom things happen."""

    def __init__(self, client: AsyncClient, account: Account, database: Database) -> None:
        self.client, self.account, self.database = client, account, database

    async def asks(self, method: str, path: str, json: Any = None, **params: Any) -> Any:
        answer = await self.client.request(
            method, f"/api/v1{path}", json=json, params=params, headers=self.account.headers
        )
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def makes(self, url: str, **fields: Any) -> dict[str, Any]:
        return await self.asks("POST", "/webhooks", {"url": url, **fields})

    async def sees(self, event_type: str = "job.succeeded") -> list[UUID]:
        async with self.database.transaction() as session:
            return await publish_event(
                session, tenant_id=self.account.tenant_id, event_type=event_type, data={"id": "a thing"}
            )

    async def log(self, webhook: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
        return (await self.asks("GET", f"/webhooks/{webhook['id']}/deliveries", **params))["items"]


@pytest.fixture
def owner(client: AsyncClient, account: Account, database: Database) -> Owner:
    return Owner(client, account, database)


async def test_a_webhook_is_made_read_changed_and_deleted(owner: Owner):
    made = await owner.makes("https://example.com/hooks", events=["model.ready"], description="CI")
    changed = await owner.asks("PATCH", f"/webhooks/{made['id']}", {"description": "night", "events": None})
    read = await owner.asks("GET", f"/webhooks/{made['id']}")
    listed = await owner.asks("GET", "/webhooks")
    await owner.asks("DELETE", f"/webhooks/{made['id']}")
    left = await owner.asks("GET", "/webhooks")

    assert made["secret"].startswith("whsec_")
    assert made["events"] == ["model.ready"]
    assert made["enabled"]
    assert changed == read == listed["items"][0]
    assert (read["description"], read["events"], read["url"]) == ("night", [], "https://example.com/hooks")
    assert "secret" not in read
    assert left["items"] == []


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"url": "http://x.test/", "events": ["job.done"]}, "unknown_events", "job.succeeded"),
        ({"url": "ftp://x.test/"}, "callback_url_refused", "http"),
        ({"url": "http://x.test/", "description": "a\x00b"}, "invalid_input", "description"),
        ({"url": "http://x.test/", "secret": "mine"}, "invalid_input", "secret"),
        ({}, "invalid_input", "url"),
    ],
)
async def test_what_does_not_fit_is_refused_with_what_would(
    client: AsyncClient, account: Account, body: dict[str, Any], code: str, said: str
):
    answer = await client.post(API, json=body, headers=account.headers)

    assert answer.status_code == 422
    assert answer.json()["code"] == code
    assert said in answer.text


async def test_there_are_only_so_many(client: AsyncClient, account: Account, database: Database):
    row = {"tenant_id": account.tenant_id, "url": "http://x.test/", "events": [], "description": ""}
    async with database.transaction() as session:
        session.add_all(EndpointRow(**row, enabled=True, salt=b"salt") for _ in range(50))

    answer = await client.post(API, json={"url": "http://x.test/"}, headers=account.headers)

    assert answer.status_code == 409
    assert answer.json()["code"] == "too_many_webhooks"


async def test_nothing_of_another_tenants_can_be_found(client: AsyncClient, owner: Owner, stranger: Account):
    webhook = await owner.makes("http://127.0.0.1:1/")
    (delivery,) = await owner.sees()
    own = f"{API}/{webhook['id']}"
    paths = [
        ("GET", own),
        ("PATCH", own),
        ("DELETE", own),
        ("GET", f"{own}/secret"),
        ("POST", f"{own}/rotate"),
    ]
    paths += [("GET", f"{own}/deliveries"), ("POST", f"{own}/test"), ("POST", f"{own}/redeliver")]
    paths += [
        ("POST", f"/api/v1/deliveries/{delivery}/redeliver"),
        ("GET", f"{API}/{NEVER}"),
        ("GET", f"{API}/no"),
    ]

    for method, path in paths:
        body = {"since": LONG_AGO} if path == f"{own}/redeliver" else {} if method == "PATCH" else None
        answer = await client.request(method, path, json=body, headers=stranger.headers)
        assert (path, answer.status_code) == (path, 404)
        assert answer.json()["code"] in {"webhook_not_found", "delivery_not_found"}
    assert (await client.get(API, headers=stranger.headers)).json()["items"] == []
    assert len(await owner.log(webhook)) == 1


async def test_an_event_goes_to_those_who_want_it(owner: Owner):
    everything = await owner.makes("http://127.0.0.1:1/all")
    models = await owner.makes("http://127.0.0.1:1/models", events=["model.ready", "model.rejected"])
    progress = await owner.makes("http://127.0.0.1:1/progress", events=["job.progress"])
    off = await owner.makes("http://127.0.0.1:1/off", enabled=False)

    for event in ("job.failed", "model.ready", "job.progress"):
        await owner.sees(event)

    got = [[each["event_type"] for each in await owner.log(w)] for w in (everything, models, progress, off)]
    assert got == [["model.ready", "job.failed"], ["model.ready"], ["job.progress"], []]


async def test_each_webhook_has_a_secret_of_its_own_and_a_rotation_an_overlap(
    owner: Owner, receiver: Receiver, postman: Postman, database: Database
):
    webhook, other = await owner.makes(receiver.url), await owner.makes("http://127.0.0.1:1/", enabled=False)
    rotated = await owner.asks("POST", f"/webhooks/{webhook['id']}/rotate")
    shown = await owner.asks("GET", f"/webhooks/{webhook['id']}/secret")

    await owner.sees()
    await postman.goes_round()
    async with database.transaction() as session:
        await session.execute(update(EndpointRow).values(salt_before_until=func.now()))
    await owner.sees()
    await postman.goes_round()

    during, after = receiver.received
    assert rotated["secret"] == shown["secret"]
    assert len({webhook["secret"], rotated["secret"], other["secret"]}) == 3
    assert len(during.headers["webhook-signature"].split()) == 2
    for secret in (webhook["secret"], rotated["secret"]):
        assert Webhook(secret).verify(during.body, during.headers)["data"] == {"id": "a thing"}
    Webhook(rotated["secret"]).verify(after.body, after.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(webhook["secret"]).verify(after.body, after.headers)


async def test_the_secret_of_callback_urls_is_rotated_likewise(
    owner: Owner, account: Account, database: Database
):
    before = await owner.asks("GET", "/webhooks/secret")

    rotated = await owner.asks("POST", "/webhooks/secret/rotate")

    assert rotated != before
    assert rotated == await owner.asks("GET", "/webhooks/secret")
    async with database.transaction() as session:
        tenant = await session.get_one(Tenant, account.tenant_id)
        left = tenant.webhook_salt_before_until - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(hours=24)


async def test_the_log_can_be_asked_for_a_status_or_an_event(
    owner: Owner, receiver: Receiver, postman: Postman
):
    webhook = await owner.makes(receiver.url)
    receiver.answers.append(Answer(500, body=b"not now"))
    await owner.sees("job.failed")
    await postman.goes_round()
    await owner.sees("model.ready")
    await postman.goes_round()

    (waiting,) = await owner.log(webhook, status="pending")
    (ready,) = await owner.log(webhook, event_type="model.ready")

    assert waiting["event_type"] == "job.failed"
    assert [(a["status_code"], a["answer"]) for a in waiting["attempts"]] == [(500, "not now")]
    assert waiting["attempts"][0]["latency_ms"] >= 0
    assert (ready["status"], ready["webhook_id"]) == ("delivered", webhook["id"])


async def test_an_owner_can_try_a_webhook_and_is_told_what_it_answered(
    owner: Owner, receiver: Receiver, postman: Postman
):
    webhook = await owner.makes(receiver.url, events=["model.ready"])
    receiver.answers.append(Answer(418, body=b"short and stout"))

    asking = asyncio.create_task(owner.asks("POST", f"/webhooks/{webhook['id']}/test"))
    while not receiver.received:
        await postman.goes_round()
    told = await asking

    event = Webhook(webhook["secret"]).verify(receiver.received[0].body, receiver.received[0].headers)
    assert (event["type"], event["data"]) == ("webhook.test", {"webhook_id": webhook["id"]})
    assert [(a["status_code"], a["answer"]) for a in told["attempts"]] == [(418, "short and stout")]
    assert await owner.log(webhook) == [told]


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

    assert (shown["enabled"], shown["disabled_reason"]) == (False, "gone")
    assert (gone["status"], gone["next_attempt_at"]) == ("failed", None)
    assert webhook["id"] in mail.text
    assert "127.0.0.1" in mail.subject
    assert "hunter2" not in mail.text + mail.subject


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

    assert [each["url"] for each in await owner.log(webhook)] == [receiver.url]
    assert len(receiver.received) == 1


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
