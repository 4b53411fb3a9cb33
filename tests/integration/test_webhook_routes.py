from uuid import UUID, uuid4

import pytest
from httpx import AsyncClient
from standardwebhooks import Webhook

from shared.database.engine import Database
from shared.settings import Settings
from shared.webhooks.sender import Sender
from shared.webhooks.service import record_event
from tests.fixtures.api import Account
from tests.fixtures.webhooks import Receiver
from workers.webhooks import attempt_delivery


@pytest.fixture
def record(database: Database):
    async def record(account: Account, url: str = "http://127.0.0.1:1/") -> UUID:
        async with database.transaction() as session:
            row = await record_event(
                session,
                tenant_id=account.tenant_id,
                job_id=None,
                url=url,
                event_type="job.succeeded",
                data={"id": "a job"},
            )
        return row.id

    return record


async def test_the_secret_verifies_what_the_tenants_receivers_get(
    client: AsyncClient, account: Account, record, receiver: Receiver, settings: Settings, database: Database
):
    delivery_id = await record(account, receiver.url)
    await attempt_delivery(delivery_id, settings=settings, database=database, sender=Sender(settings))

    answer = await client.get("/api/v1/webhooks/secret", headers=account.headers)

    assert answer.status_code == 200
    [request] = receiver.received
    event = Webhook(answer.json()["secret"]).verify(request.body, request.headers)
    assert event["data"] == {"id": "a job"}


async def test_a_delivery_is_shown_with_its_attempts(
    client: AsyncClient, account: Account, record, receiver: Receiver, settings: Settings, database: Database
):
    delivery_id = await record(account, receiver.url)
    await attempt_delivery(delivery_id, settings=settings, database=database, sender=Sender(settings))

    answer = await client.get("/api/v1/webhooks/deliveries", headers=account.headers)

    assert answer.status_code == 200
    [item] = answer.json()["items"]
    assert item["id"] == str(delivery_id)
    assert item["event_type"] == "job.succeeded"
    assert item["status"] == "delivered"
    assert item["next_attempt_at"] is None
    assert [(a["number"], a["status_code"]) for a in item["attempts"]] == [(1, 204)]


async def test_pages_go_from_the_newest_to_the_oldest(client: AsyncClient, account: Account, record):
    recorded = [str(await record(account)) for _ in range(5)]

    seen, cursor = [], {}
    while cursor is not None:
        answer = await client.get(
            "/api/v1/webhooks/deliveries", params={"limit": 2, **cursor}, headers=account.headers
        )
        page = answer.json()
        seen.extend(item["id"] for item in page["items"])
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None

    assert seen == recorded[::-1]


async def test_deliveries_of_another_job_are_left_out(client: AsyncClient, account: Account, record):
    await record(account)

    answer = await client.get(
        "/api/v1/webhooks/deliveries", params={"job_id": str(uuid4())}, headers=account.headers
    )

    assert answer.json() == {"items": [], "next_cursor": None}


async def test_another_tenant_sees_neither_deliveries_nor_secret(
    client: AsyncClient, account: Account, stranger: Account, record
):
    await record(account)

    deliveries = await client.get("/api/v1/webhooks/deliveries", headers=stranger.headers)
    secrets = [
        (await client.get("/api/v1/webhooks/secret", headers=who.headers)).json()["secret"]
        for who in (account, stranger)
    ]

    assert deliveries.json()["items"] == []
    assert secrets[0] != secrets[1]


async def test_nobody_sees_anything_without_a_token(client: AsyncClient):
    for path in ("secret", "deliveries"):
        answer = await client.get(f"/api/v1/webhooks/{path}")

        assert answer.status_code == 401


async def test_a_cursor_of_somebody_elses_making_is_refused(client: AsyncClient, account: Account):
    answer = await client.get(
        "/api/v1/webhooks/deliveries", params={"cursor": "nonsense"}, headers=account.headers
    )

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
