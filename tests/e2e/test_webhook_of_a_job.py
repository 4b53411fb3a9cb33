"""What happens to jobs and models, told to receivers: to the verified event, through every process."""

from pathlib import Path

import pytest
from httpx import AsyncClient
from standardwebhooks import Webhook

from tests.fixtures.webhooks import Answer, Receiver

ROWS = "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n"


@pytest.fixture
def model(iris_on_frame: Path) -> bytes:
    return iris_on_frame.read_bytes()


async def test_a_receiver_that_fails_once_gets_the_jobs_end_again_and_can_verify_it(
    platform, receiver: Receiver, model: bytes
):
    receiver.answers.append(Answer(500))
    async with AsyncClient(base_url=f"{platform.base_url}/api/v1", timeout=60) as client:
        await log_in(client)
        await upload(client, model)
        secret = (await client.get("/webhooks/secret")).json()["secret"]

        job = await submit(client, callback_url=receiver.url)
        first, second = await receiver.wait_for(2, timeout_s=60)
        shown = (await client.get("/webhooks/deliveries", params={"job_id": job["id"]})).json()

    event = Webhook(secret).verify(second.body, second.headers)
    assert event["type"] == "job.succeeded"
    assert event["data"]["id"] == job["id"]
    assert event["data"]["rows"]["done"] == 2
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == shown["items"][0]["id"]
    assert shown["items"][0]["attempts"][0]["status_code"] == 500


async def test_a_webhook_hears_of_models_and_jobs_under_the_old_secret_and_the_new(
    platform, receiver: Receiver, model: bytes
):
    async with AsyncClient(base_url=f"{platform.base_url}/api/v1", timeout=60) as client:
        await log_in(client, "models@example.com")
        webhook = (await client.post("/webhooks", json={"url": receiver.url})).json()
        await client.post("/webhooks", json={"url": f"{receiver.url}/other", "events": ["model.degraded"]})
        rotated = (await client.post(f"/webhooks/{webhook['id']}/rotate")).json()
        await upload(client, model)
        await receiver.wait_for(1)
        await upload(client, b"no model", becomes="rejected")
        await receiver.wait_for(2)
        job = await submit(client)
        received = [*await receiver.wait_for(3, timeout_s=60)]
        deliveries = (await client.get(f"/webhooks/{webhook['id']}/deliveries")).json()["items"]
        again = await client.post(f"/deliveries/{deliveries[0]['id']}/redeliver")
        *_, repeated = await receiver.wait_for(4)

    old, new = (
        [Webhook(secret["secret"]).verify(one.body, one.headers) for one in received]
        for secret in (webhook, rotated)
    )
    assert old == new
    assert webhook["secret"] != rotated["secret"]
    assert [event["type"] for event in new] == ["model.ready", "model.rejected", "job.succeeded"]
    assert [event["data"]["version"]["number"] for event in new[:2]] == [1, 2]
    assert new[2]["data"]["id"] == job["id"]
    assert again.status_code == 202
    assert (repeated.body, repeated.headers["webhook-id"]) == (
        received[2].body,
        received[2].headers["webhook-id"],
    )
    assert {one.target for one in receiver.received} == {"/hooks"}


async def log_in(client: AsyncClient, email: str = "hooks@example.com") -> None:
    account = {"email": email, "password": "SecureP@ss123"}
    await client.post("/auth/register", json={**account, "full_name": "Hook Er"})
    token = (await client.post("/auth/login", json=account)).json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"


async def upload(client: AsyncClient, model: bytes, *, becomes: str = "ready") -> None:
    waiting = {"Prefer": "wait=60"}
    answer = await client.post(
        "/models/upload", files={"file": model}, data={"name": "iris"}, headers=waiting
    )
    assert answer.json()["version"]["status"] == becomes


async def submit(client: AsyncClient, **options: str) -> dict:
    form = {"model": "iris", **options}
    answer = await client.post("/jobs", files={"file": ("rows.csv", ROWS)}, data=form)
    assert answer.status_code == 202
    return answer.json()
