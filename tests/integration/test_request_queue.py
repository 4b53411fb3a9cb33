"""A worker's end of the queue, where Redis or the worker falters between taking and answering."""

import asyncio
from uuid import uuid4

import pytest

from shared.predictions.keys import request_stream
from shared.predictions.wire import Request, RequestEntry, encode
from workers.predict.redis_clock import RedisClock
from workers.predict.request_queue import RequestQueue, Work

VERSION = uuid4()
STREAM = request_stream(VERSION)


@pytest.fixture
async def clock(redis):
    clock = RedisClock()
    await clock.read(redis)
    return clock


@pytest.fixture
async def queue(redis, clock):
    queue = RequestQueue(redis, clock, version_id=VERSION, worker_id="ours")
    await queue.open()
    return queue


async def add(redis, request_id: int) -> None:
    entry = RequestEntry("replies", [Request(request_id, 5000, 1, ("label",), b"")])
    await redis.xadd(STREAM, {b"requests": encode(entry)})


def ids(work: Work) -> list[int]:
    return [taken.request.id for taken in work.requests]


async def adopted(queue, living) -> Work:
    async with asyncio.timeout(10):
        while not (work := await queue.adopt(living)).entry_ids:
            await asyncio.sleep(0.05)
    return work


async def test_what_redis_gave_us_in_an_answer_that_was_lost_is_adopted(redis, queue):
    await add(redis, 7)
    await redis.xreadgroup("workers", "ours", {STREAM: ">"})  # and nobody hears of it

    work = await adopted(queue, {"ours"})
    await queue.answer([], done=work.entry_ids)

    assert ids(work) == [7]
    assert (await redis.xpending(STREAM, "workers"))["pending"] == 0


async def test_what_could_not_be_answered_is_adopted_once_it_is_put_down(redis, queue):
    await add(redis, 7)
    work = await queue.take()
    await asyncio.sleep(1.1)  # longer than anything is lost for
    in_hand = await queue.adopt({"ours"})

    queue.put_down(work)

    assert ids(in_hand) == []
    assert ids(await adopted(queue, {"ours"})) == [7]


async def test_what_a_living_worker_took_is_left_to_it_and_a_dead_ones_is_not(redis, queue):
    await add(redis, 7)
    await redis.xreadgroup("workers", "theirs", {STREAM: ">"})

    alive = await queue.adopt({"ours", "theirs"})
    dead = await queue.adopt({"ours"})

    assert (ids(alive), ids(dead)) == ([], [7])
