"""Webhooks for their owners: made, changed, told of what they want, and tried."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy import func, update
from standardwebhooks import Webhook, WebhookVerificationError

from api.app import create_app
from shared.access.tables import Tenant
from shared.database.engine import Database
from shared.settings import Settings
from shared.webhooks.tables import EndpointRow
from tests.fixtures.api import Account, Upload, living
from tests.fixtures.webhook_owner import Owner
from tests.fixtures.webhooks import Answer, Postman, Receiver

API = "/api/v1/webhooks"
NEVER = "00000000-0000-7000-8000-000000000000"
LONG_AGO = "2020-01-01T00:00:00Z"


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


async def test_an_address_inside_is_refused_with_the_reason_wherever_one_is_asked_for(
    client: AsyncClient, owner: Owner, served: Upload, settings: Settings
):
    webhook = await owner.makes("https://example.com/hooks")
    await served("iris")
    hosts = ["127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "0x7f000001", "localhost", "10.0.0.1"]
    hosts += ["[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "169.254.169.254"]
    guarded = msgspec.structs.replace(settings, allow_private_webhooks=False)
    answers = []

    async with (
        living(create_app(guarded)) as application,
        AsyncClient(
            transport=ASGITransport(application), base_url=client.base_url, headers=owner.account.headers
        ) as asking,
    ):
        for host in hosts:
            url = f"http://{host}:9000/hooks"
            answers.append((await asking.post(API, json={"url": url}), "/url"))
            answers.append((await asking.patch(f"{API}/{webhook['id']}", json={"url": url}), "/url"))
            form = {"model": "iris", "callback_url": url}
            job = await asking.post("/api/v1/jobs", data=form, files={"file": ("rows.csv", b"a\n1\n")})
            answers.append((job, "/callback_url"))

    for answer, pointer in answers:
        assert (answer.status_code, answer.json()["code"]) == (422, "callback_url_refused")
        (error,) = answer.json()["errors"]
        assert error["pointer"] == pointer
        assert "address" in error["message"] or "it is not a URL" in error["message"]
    assert [each["url"] for each in (await owner.asks("GET", "/webhooks"))["items"]] == [webhook["url"]]


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
