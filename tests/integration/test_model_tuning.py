"""Settings of a model over HTTP: what changes, what is refused, and who hears of it."""

import asyncio

import pytest

from shared.catalog.messages import CATALOG_CHANNEL
from shared.catalog.service import serving_version

MODEL = "/api/v1/models/iris"


@pytest.fixture
def tune(client, account):
    """Sends settings for a model; gives status and body."""

    async def send(model: str = "iris", **settings):
        answer = await client.patch(
            f"/api/v1/models/{model}", headers=account.headers, json={"settings": settings}
        )
        return answer.status_code, answer.json()

    return send


async def test_settings_are_shown_with_their_defaults(upload):
    uploaded = await upload()

    assert uploaded["settings"] == {
        "accelerate": True,
        "cache": None,
        "cache_ttl_s": 300,
        "max_batch_rows": None,
        "max_batch_delay_ms": 0,
        "call_timeout_ms": None,
        "min_replicas": 0,
        "max_replicas": None,
        "extra_columns": "ignore",
    }


async def test_given_settings_change_and_the_others_stay(upload, tune, client, account):
    await upload()
    await tune(cache=False, max_batch_rows=16)

    status, body = await tune(max_batch_rows=None, min_replicas=1)

    assert status == 200
    assert body["settings"]["cache"] is False
    assert body["settings"]["max_batch_rows"] is None
    assert body["settings"]["min_replicas"] == 1
    assert (await client.get(MODEL, headers=account.headers)).json()["settings"] == body["settings"]


async def test_a_value_out_of_bounds_is_refused_where_it_stands(upload, tune):
    await upload()

    status, body = await tune(max_batch_rows=0)

    assert (status, body["errors"][0]["pointer"]) == (422, "/settings/max_batch_rows")


async def test_a_description_beside_wrong_settings_changes_nothing(upload, client, account):
    await upload()
    wrong = {"description": "new", "settings": {"min_replicas": 4, "max_replicas": 2}}

    answer = await client.patch(MODEL, headers=account.headers, json=wrong)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_model_settings")
    assert (await client.get(MODEL, headers=account.headers)).json()["description"] == ""


async def test_a_tenant_pins_no_more_replicas_than_it_is_granted(upload, tune):
    await upload("iris")
    await upload("wine")
    assert (await tune("iris", min_replicas=6))[0] == 200

    status, body = await tune("wine", min_replicas=3)

    assert (status, body["code"]) == (422, "too_many_pinned_replicas")
    assert body["errors"][0]["pointer"] == "/settings/min_replicas"
    assert "8" in body["detail"]
    assert (await tune("wine", min_replicas=2))[0] == 200


async def test_two_changes_at_once_do_not_pin_too_much_together(upload, tune):
    for name in ("iris", "wine"):
        await upload(name)

    answers = await asyncio.gather(tune("iris", min_replicas=8), tune("wine", min_replicas=8))

    assert sorted(status for status, _ in answers) == [200, 422]


async def test_a_change_reaches_those_who_serve(served, tune, database, account, redis):
    uploaded = await served()
    async with redis.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(CATALOG_CHANNEL)
        await channel.get_message(timeout=1)

        await tune(cache_ttl_s=7)

        async with asyncio.timeout(5):
            while (message := await channel.get_message(timeout=1)) is None:
                pass
    assert message["data"].decode() == f"model:{uploaded['id']}"
    async with database.transaction() as session:
        version = await serving_version(session, account.tenant_id, "iris")
    assert version.settings.cache_ttl_s == 7


async def test_a_setting_that_is_not_there_is_refused_by_its_name(upload, tune):
    await upload()

    refused = await tune(foo=1)

    assert refused[0] == 422
    assert refused[1]["code"] == "invalid_input"
    assert refused[1]["errors"] == [
        {"message": "Object contains unknown field `foo`", "pointer": "/settings"}
    ]
