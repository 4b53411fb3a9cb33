"""What a worker hears of requests that nobody waits for."""

import asyncio

import pytest

from shared.predictions.keys import WITHDRAWN_CHANNEL
from shared.predictions.wire import Withdrawn, encode
from workers.predict import withdrawn as module
from workers.predict.withdrawn import WithdrawnRequests

API = "predict:replies:one"


@pytest.fixture
async def withdrawn(redis, settings):
    withdrawn = WithdrawnRequests(settings.redis_url)
    withdrawn.start()
    async with asyncio.timeout(10):
        while not (await redis.pubsub_numsub(WITHDRAWN_CHANNEL))[0][1]:
            await asyncio.sleep(0.01)
    yield withdrawn
    await withdrawn.close()


async def heard(withdrawn, request_id: int) -> None:
    async with asyncio.timeout(10):
        while (API.encode(), request_id) not in withdrawn:
            await asyncio.sleep(0.01)


async def withdraw(redis, *ids: int) -> None:
    await redis.publish(WITHDRAWN_CHANNEL, encode(Withdrawn(API, list(ids))))


async def test_a_withdrawn_request_is_known_by_where_its_reply_goes_and_its_id(redis, withdrawn):
    assert not withdrawn

    await withdraw(redis, 1, 2)
    await heard(withdrawn, 2)

    assert withdrawn
    assert (API.encode(), 1) in withdrawn
    assert (API.encode(), 3) not in withdrawn
    assert (b"predict:replies:two", 1) not in withdrawn


async def test_a_message_that_nobody_can_read_costs_no_connection(redis, withdrawn):
    [subscriber] = [client["id"] for client in await redis.client_list() if client["cmd"] == "subscribe"]

    await redis.publish(WITHDRAWN_CHANNEL, b"of another release")
    await withdraw(redis, 1)
    await heard(withdrawn, 1)

    assert [client["id"] for client in await redis.client_list() if client["cmd"] == "subscribe"] == [
        subscriber
    ]


async def test_a_flood_is_forgotten_the_oldest_first(redis, withdrawn, monkeypatch):
    monkeypatch.setattr(module, "MOST_KEPT", 10)

    for start in range(0, 50, 10):
        await withdraw(redis, *range(start, start + 10))
    await heard(withdrawn, 49)

    remembered = [number for number in range(50) if (API.encode(), number) in withdrawn]
    assert remembered == list(range(30, 50))


async def test_it_listens_again_after_a_lost_connection(redis, withdrawn):
    [subscriber] = [client["id"] for client in await redis.client_list() if client["cmd"] == "subscribe"]

    await redis.client_kill_filter(_id=subscriber)
    async with asyncio.timeout(10):
        while not await redis.publish(WITHDRAWN_CHANNEL, encode(Withdrawn(API, [1]))):
            await asyncio.sleep(0.01)

    await heard(withdrawn, 1)
