"""A worker's end of the queue, where Redis or the worker falters between taking and answering."""

import asyncio
from uuid import uuid4

import pytest

from shared.predictions.keys import request_stream
from shared.predictions.wire import Reply, Request, encode
from workers.predict.redis_clock import RedisClock
from workers.predict.request_queue import RequestQueue
from workers.predict.taken import Taken

VERSION = uuid4()
STREAM = request_stream(VERSION)


@pytest.fixture
def came() -> list[Taken]:
    """What the queue has brought."""
    return []


@pytest.fixture
async def queue(redis, settings, came):
    clock = RedisClock()
    await clock.read(redis)
    queue = RequestQueue(redis, settings.redis_url, clock, version_id=VERSION, worker_id="ours")
    await queue.open(came.extend)
    yield queue
    await queue.close()


async def add(redis, *request_ids: int) -> None:
    fields = ["t", "replies"]
    for request_id in request_ids:
        fields += ["r", encode(Request(request_id, 5000, 1, ("label",), b""))]
    await redis.execute_command("XADD", STREAM, "*", *fields)


def ids(requests: list[Taken]) -> list[int]:
    return [taken.request.id for taken in requests]


async def until(happened) -> None:
    async with asyncio.timeout(10):
        while not happened():
            await asyncio.sleep(0.01)


async def pending(redis) -> int:
    return (await redis.xpending(STREAM, "workers"))["pending"]


async def adopted(queue, living) -> list[Taken]:
    async with asyncio.timeout(10):
        while not (requests := await queue.adopt(living)):
            await asyncio.sleep(0.05)
    return requests


def replies(*requests: Taken) -> list[tuple[Taken, Reply]]:
    return [(taken, Reply(taken.request.id, {"label": [1]})) for taken in requests]


async def test_an_entry_is_let_go_of_once_the_last_of_its_requests_is_answered(redis, queue, came):
    await add(redis, 1, 2)
    queue.want(more=True)
    await until(lambda: len(came) == 2)

    queue.answer(replies(came[0]))
    await asyncio.sleep(0.1)
    half_way = await pending(redis)
    queue.answer(replies(came[1]))

    async with asyncio.timeout(10):
        while await pending(redis):
            await asyncio.sleep(0.01)
    assert half_way == 1
    assert (await redis.xlen(STREAM), await redis.llen("replies")) == (0, 2)


async def test_what_comes_while_nothing_is_wanted_waits_for_others(redis, queue, came):
    queue.want(more=True)
    queue.want(more=False)
    await queue.stop_taking()
    await add(redis, 7)
    await asyncio.sleep(0.1)

    assert came == []
    assert await pending(redis) == 0


async def test_what_redis_gave_us_in_an_answer_that_was_lost_is_adopted(redis, queue):
    await add(redis, 7)
    await redis.xreadgroup("workers", "ours", {STREAM: ">"})  # and nobody hears of it

    requests = await adopted(queue, {"ours"})
    queue.drop(requests)

    assert ids(requests) == [7]
    async with asyncio.timeout(10):
        while await pending(redis):
            await asyncio.sleep(0.01)


async def test_what_is_in_our_hands_is_not_taken_for_lost(redis, queue, came):
    await add(redis, 7)
    queue.want(more=True)
    await until(lambda: came)

    await asyncio.sleep(1.1)  # longer than anything is lost for

    assert await queue.adopt({"ours"}) == []


async def test_what_a_living_worker_took_is_left_to_it_and_a_dead_ones_is_not(redis, queue):
    await add(redis, 7, 8)
    await redis.xreadgroup("workers", "theirs", {STREAM: ">"})

    alive = await queue.adopt({"ours", "theirs"})
    dead = await queue.adopt({"ours"})

    assert (ids(alive), ids(dead)) == ([], [7, 8])


async def test_a_redis_that_lost_its_data_is_served_all_the_same(redis, queue, came):
    queue.want(more=True)
    await redis.flushall()

    await asyncio.sleep(0.3)
    await add(redis, 7)

    await until(lambda: ids(came) == [7])


async def blocked(redis) -> list[dict]:
    """The connections that wait for requests."""
    return [client for client in await redis.client_list() if "b" in client["flags"]]


async def test_wanting_while_the_connection_comes_back_takes_no_more_than_wanted(redis, queue, came):
    queue.want(more=True)
    async with asyncio.timeout(10):
        while not (waiting := await blocked(redis)):
            await asyncio.sleep(0.01)

    await redis.client_kill_filter(_id=waiting[0]["id"])
    async with asyncio.timeout(10):
        while await blocked(redis) in ([], waiting):
            for _ in range(1000):
                queue.want(more=True)
                await asyncio.sleep(0)
    queue.want(more=False)
    await queue.stop_taking()
    await add(redis, 7)
    await asyncio.sleep(0.1)

    assert (came, await pending(redis)) == ([], 0)


async def test_wanting_while_redis_refuses_takes_no_more_than_wanted(redis, queue, came):
    await redis.xgroup_destroy(STREAM, "workers")
    queue.want(more=True)
    async with asyncio.timeout(10):
        while not await blocked(redis):
            queue.want(more=True)
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # longer than a refused queue pauses

    queue.want(more=False)
    await queue.stop_taking()
    await add(redis, 7)
    await asyncio.sleep(0.1)

    assert (came, await pending(redis)) == ([], 0)


async def test_a_stream_that_is_gone_is_nothing_to_adopt_from_and_is_there_again(redis, queue):
    await redis.flushall()

    adopted = await queue.adopt({"ours"})

    assert adopted == []
    assert [group["name"] for group in await redis.xinfo_groups(STREAM)] == [b"workers"]


async def test_an_entry_that_nobody_can_read_is_dropped_and_stops_nothing(redis, queue, came):
    queue.want(more=True)
    await redis.xadd(STREAM, {"t": "replies", "r": b"of another release"})
    await redis.xadd(STREAM, {"odd": "one"})
    await add(redis, 7)

    await until(lambda: ids(came) == [7])
    queue.answer(replies(*came))

    async with asyncio.timeout(10):
        while await redis.xlen(STREAM):
            await asyncio.sleep(0.01)
    assert await pending(redis) == 0
