"""Whose chunk a free worker runs next."""

import asyncio
from collections import Counter

import pytest

from shared.jobs.job import Priority
from tests.fixtures.jobs import Jobs, ServeModel
from tests.fixtures.turns import Turns


@pytest.fixture(autouse=True)
async def plane(serve_model: ServeModel, regressor) -> None:
    await serve_model("plane", regressor)


async def test_a_short_job_of_another_tenant_is_next_after_a_long_one(turns: Turns):
    await turns.job("long", tenant="Ada", chunks=60)
    before = await turns.served(3)

    await turns.job("short", tenant="Bea", chunks=1)

    assert before == ["long"] * 3
    assert await turns.served(3) == ["short", "long", "long"]


async def test_a_short_job_of_the_same_tenant_is_next_after_a_long_one(turns: Turns):
    await turns.job("long", tenant="Ada", chunks=60)
    await turns.served(3)

    await turns.job("short", tenant="Ada", chunks=1)

    assert await turns.served(2) == ["short", "long"]


async def test_tenants_share_the_workers_however_many_jobs_each_has(turns: Turns):
    for number in range(4):
        await turns.job(f"small {number}", tenant="Ada", chunks=2)
    await turns.job("large", tenant="Bea", chunks=8)

    assert Counter(await turns.taken(8))["large"] == 4


async def test_a_single_worker_serves_tenants_in_turns_though_jobs_of_one_are_new_each_time(turns: Turns):
    await turns.job("large", tenant="Bea", chunks=8)
    served = []

    for number in range(3):
        await turns.job(f"small {number}", tenant="Ada", chunks=1)
        served += await turns.served(2)

    assert served == ["large", "small 0", "large", "small 1", "large", "small 2"]


async def test_jobs_of_a_tenant_share_its_workers(turns: Turns):
    await turns.job("first", tenant="Ada", chunks=8)
    await turns.job("second", tenant="Ada", chunks=8)

    assert Counter(await turns.taken(6)) == {"first": 3, "second": 3}


async def test_what_is_urgent_goes_before_fairness(turns: Turns):
    await turns.job("low", tenant="Ada", chunks=2, priority=Priority.LOW)
    await turns.job("normal", tenant="Bea", chunks=2)
    await turns.job("high", tenant="Cleo", chunks=2, priority=Priority.HIGH)

    assert await turns.taken(6) == ["high", "high", "normal", "normal", "low", "low"]


async def test_a_worker_for_some_priorities_leaves_the_others(turns: Turns):
    await turns.job("low", tenant="Ada", chunks=1, priority=Priority.LOW)
    await turns.job("normal", tenant="Ada", chunks=1)

    assert await turns.taken(3, [Priority.HIGH, Priority.NORMAL]) == ["normal"]


async def test_a_chunk_that_lost_its_worker_waits_like_the_others(turns: Turns):
    job_id = await turns.job("job", tenant="Ada", chunks=2)
    first, second = await turns.take(), await turns.take()
    assert first is not None
    assert second is not None
    nothing = await turns.take()
    await turns.lose(job_id)

    again = await turns.take()

    assert nothing is None
    assert again is not None
    assert (again.index, again.attempt) == (first.index, 2)


async def test_chunks_are_run_in_the_order_of_the_file(turns: Turns):
    await turns.job("job", tenant="Ada", chunks=4)
    first, second = await turns.take(), await turns.take()
    assert first is not None
    assert second is not None

    await turns.give_back(first)
    third = await turns.take()

    assert third is not None
    assert (first.index, second.index, third.index) == (0, 1, 0)


async def test_a_tenant_has_no_more_chunks_running_than_its_cap_however_many_ask_at_once(turns: Turns):
    for tenant in ("Ada", "Bea"):
        for number in range(2):
            await turns.job(f"{tenant} {number}", tenant=tenant, chunks=10)

    claims = await asyncio.gather(*(turns.take(cap=3) for _ in range(40)))

    running = Counter(turns.names[claim.job_id].split()[0] for claim in claims if claim is not None)
    assert running == {"Ada": 3, "Bea": 3}


async def test_a_tenant_at_its_cap_goes_on_when_a_chunk_has_ended(turns: Turns):
    await turns.job("job", tenant="Ada", chunks=3)
    claim = await turns.take(cap=1)
    assert claim is not None
    refused = await turns.take(cap=1)

    await turns.end(claim)

    assert refused is None
    assert await turns.taken(2, cap=1) == ["job"]


async def test_many_at_once_never_get_the_same_chunk(turns: Turns, jobs: Jobs):
    job_id = await turns.job("job", tenant="Ada", chunks=20)

    claims = await asyncio.gather(*(turns.take() for _ in range(30)))

    assert sorted(claim.index for claim in claims if claim is not None) == list(range(20))
    assert {chunk.attempts for chunk in await jobs.chunks(job_id)} == {1}
