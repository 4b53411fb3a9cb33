"""Limits of predictions, over several API processes, in the lane and beside it."""

import asyncio
import time
from contextlib import ExitStack

import pytest
from sqlalchemy import update

from shared.access.tables import Tenant
from tests.fixtures.napping import napping_model, row
from tests.fixtures.serving import make_caller

PER_MINUTE = 20  # one more fits each three seconds


@pytest.fixture(scope="module")
async def nap(serving) -> str:
    return await serving.upload("nap", napping_model())


async def token_of_newcomer(serving) -> str:
    """Of somebody who has asked nothing yet, with a model."""
    caller = await make_caller(serving.database)
    await serving.uploads_of(caller).add("nap", napping_model())
    return serving.token_of(caller)


@pytest.fixture(scope="module")
async def four(serving, nap, tmp_path_factory):  # noqa: ARG001  the model must be there
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("api")
        yield await serving.start_api(stack, folder, api_processes=4, predict_per_minute=PER_MINUTE)


@pytest.mark.parametrize("header", ["", "Cache-Control: no-cache"], ids=["shared", "computed"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_over_all_processes_exactly_so_many_pass(serving, four, header, chunked):
    token = await token_of_newcomer(serving)
    request = four.post("nap", {"input": row(1)}, *[header] * bool(header), token=token, chunked=chunked)
    lines = [await four.connect() for _ in range(20)]
    started = time.monotonic()

    async def ten_times(line):
        return [await line.ask(request) for _ in range(10)]

    answers = [answer for ten in await asyncio.gather(*map(ten_times, lines)) for answer in ten]
    refilled = int((time.monotonic() - started) / (60 / PER_MINUTE))

    passed = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(passed) + len(refused) == 200
    assert PER_MINUTE <= len(passed) <= PER_MINUTE + refilled
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"predict";q=20;w=60'}
    remaining = sorted(int(answer.headers["ratelimit"].split(";")[1][2:]) for answer in passed)
    assert (remaining[0], remaining[-1] < PER_MINUTE) == (0, True)
    for answer in refused:
        assert answer.code == "rate_limited"
        assert 1 <= int(answer.headers["retry-after"]) <= 3
        assert answer.headers["ratelimit"] == f'"predict";r=0;t={answer.headers["retry-after"]}'


async def test_after_the_time_that_it_was_told_a_request_passes(serving, four):
    token = await token_of_newcomer(serving)
    request = four.post("nap", {"input": row(2)}, token=token)
    line = await four.connect()
    while (answer := await line.ask(request)).status == 200:
        pass

    await asyncio.sleep(int(answer.headers["retry-after"]))

    assert (await line.ask(request)).status == 200


async def test_callers_do_not_use_up_each_others_limits(serving, four):
    one, other = [await token_of_newcomer(serving) for _ in range(2)]
    line = await four.connect()
    while (await line.ask(four.post("nap", {"input": row(3)}, token=one))).status == 200:
        pass

    assert (await line.ask(four.post("nap", {"input": row(3)}, token=other))).status == 200


async def test_what_does_not_fit_the_model_counts_for_nothing(serving, four):
    token = await token_of_newcomer(serving)
    line = await four.connect()
    for _ in range(2 * PER_MINUTE):
        assert (await line.ask(four.post("nap", {"input": []}, token=token))).status == 422

    answer = await line.ask(four.post("nap", {"input": row(4)}, token=token))

    assert answer.headers["ratelimit"].startswith(f'"predict";r={PER_MINUTE - 1};')


async def test_a_redis_that_forgot_its_scripts_is_told_them_again(serving, stack, tmp_path, nap):  # noqa: ARG001
    api = await serving.start_api(stack, tmp_path)
    line = await api.connect()
    assert (await line.ask(api.post("nap", {"input": row(5)}))).status == 200

    await serving.redis.script_flush()

    for number in range(6, 16):
        answer = await line.ask(api.post("nap", {"input": row(number)}))
        assert (answer.status, answer.json().get("prediction")) == (200, number)


async def test_without_limits_nothing_is_counted_and_nothing_said(serving, stack, tmp_path, nap):  # noqa: ARG001
    api = await serving.start_api(stack, tmp_path, predict_per_minute=0)
    line = await api.connect()

    answers = [await line.ask(api.post("nap", {"input": row(number % 3)})) for number in range(20)]

    assert {answer.status for answer in answers} == {200}
    assert not any("ratelimit" in answer.headers for answer in answers)


async def test_a_tenants_own_quota_of_a_day_ends_its_predictions_until_midnight(serving, four):
    caller = await make_caller(serving.database)
    await serving.uploads_of(caller).add("nap", napping_model())
    async with serving.database.transaction() as session:
        own = update(Tenant).where(Tenant.id == caller.tenant_id).values(quotas={"predictions_per_day": 3})
        await session.execute(own)
    request, line = four.post("nap", {"input": row(3)}, token=serving.token_of(caller)), await four.connect()

    first = await line.ask(request)
    while "predict-day" not in first.headers["ratelimit-policy"]:  # processes look every few seconds
        await asyncio.sleep(0.6)
        first = await line.ask(request)
    answers = [first, *[await line.ask(request) for _ in range(3)]]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    refused = answers[-1]
    assert refused.code == "quota_exceeded"
    assert refused.json()["quota"] == {"name": "predictions_per_day", "used": 3, "limit": 3}
    assert '"predict-day";q=3;w=86400' in refused.headers["ratelimit-policy"]
    assert 1 <= int(refused.headers["retry-after"]) <= 86400
