"""Predictions while models, Redis or their askers misbehave. Each test has a Redis of its own to mistreat."""

import asyncio
import time
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from shared.background import end_tasks
from shared.catalog.messages import announce_model
from shared.catalog.tables import ModelRow
from shared.messaging.redis import connect_redis
from shared.predictions.errors import ModelCrashed, ModelLoading, PredictionTimeout
from shared.predictions.wire import Reply, encode
from tests.fixtures.moody import COMPANY, COUNT, DIE, HANG, NAP, TOTAL, moody_model
from tests.fixtures.predictions import ask

X, y = load_iris(return_X_y=True)


@pytest.fixture
def redis(own_redis):
    return own_redis.client


@pytest.fixture
def settings(settings, own_redis):
    url = own_redis.url
    return msgspec.structs.replace(settings, redis_url=url, broker_redis_url=url, cache_redis_url=url)


@pytest.fixture
async def moody(predict_workers, uploads):
    """The version of a model that does as it is told, held by a worker."""
    await predict_workers.start()
    return await uploads.add("moody", moody_model())


@pytest.fixture
def say(predictor, caller, moody):
    """Sends one row: what the model is to do, and the number that it answers."""

    async def answer(wish: int, number: float = 0, *, deadline_s: float = 10) -> float:
        outputs = await ask(predictor, caller, str(moody.model_id), [[wish, number]], deadline_s=deadline_s)
        return outputs["label"][0]

    return answer


@pytest.fixture
def tune(database, redis):
    """Sets the model's settings as the API does, and waits until they count."""

    async def change(version, **settings) -> None:
        async with database.transaction() as session:
            (await session.get_one(ModelRow, version.model_id)).settings = settings
        await announce_model(redis, version.model_id)
        await asyncio.sleep(0.5)

    return change


@pytest.fixture
def busy(say):
    """Has the model's host take two naps in a row: whatever comes meanwhile waits at the worker."""

    async def begin() -> list[asyncio.Task]:
        naps = []
        for _ in range(2):
            naps.append(asyncio.create_task(say(NAP)))
            await asyncio.sleep(0.2)
        return naps

    return begin


def hosts_of(worker) -> list[psutil.Process]:
    return [host for template in psutil.Process(worker.popen.pid).children() for host in template.children()]


def asking(say, numbers) -> list[asyncio.Task]:
    return [asyncio.create_task(say(0, number)) for number in numbers]


async def test_a_row_that_hangs_the_model_costs_its_neighbours_no_answer(say):
    rows = [(0, 1), (0, 2), (HANG, 3), (0, 4), (0, 5)]

    answers = await asyncio.gather(*(say(*row, deadline_s=6) for row in rows), return_exceptions=True)

    hung = answers.pop(2)
    assert isinstance(hung, PredictionTimeout)
    assert answers == [1, 2, 4, 5]


async def test_rows_that_end_the_host_cost_their_neighbours_no_answer(say):
    rows = [(DIE, 0) if number in {5, 20} else (0, number) for number in range(32)]

    answers = await asyncio.gather(*(say(*row) for row in rows), return_exceptions=True)

    died = [number for number, answer in enumerate(answers) if isinstance(answer, ModelCrashed)]
    assert died == [5, 20]
    assert [answer for answer in answers if answer not in (answers[5], answers[20])] == [
        number for number in range(32) if number not in died
    ]


async def test_a_host_killed_while_it_loads_the_model_anew_costs_no_answer(
    predict_workers, uploads, predictor, caller
):
    worker = await predict_workers.start()
    await uploads.add("slow", moody_model(load_s=1))
    [first] = hosts_of(worker)
    first.kill()
    waiting = asyncio.create_task(ask(predictor, caller, "slow", [[0, 7]], deadline_s=20))

    async with asyncio.timeout(10):
        while not (loading := [host for host in hosts_of(worker) if host != first]):
            await asyncio.sleep(0.01)
    loading[0].kill()

    assert await waiting == {"label": [7]}


async def test_a_request_withdrawn_before_its_turn_is_not_computed(say, busy):
    naps = await busy()

    leaving = [asyncio.create_task(say(COUNT)) for _ in range(3)]
    await asyncio.sleep(0.2)
    await end_tasks(*leaving)
    await asyncio.gather(*naps)

    assert await say(TOTAL) == 0


async def test_a_request_whose_deadline_passed_in_the_queue_is_not_computed(say, busy):
    naps = await busy()

    late = [say(COUNT, deadline_s=0.3) for _ in range(3)]
    answers = await asyncio.gather(*late, return_exceptions=True)
    await asyncio.gather(*naps)

    assert {type(answer) for answer in answers} == {PredictionTimeout}
    assert await say(TOTAL) == 0


async def test_requests_for_different_outputs_in_flight_together_are_answered_right(
    predict_workers, uploads, predictor, caller
):
    await predict_workers.start()
    model = LogisticRegression(max_iter=1000).fit(X, y)
    await uploads.add("iris", model)
    wanted = [("label",), ("probabilities",), ("label", "probabilities"), ("probabilities", "label")] * 30

    answers = await asyncio.gather(
        *(
            ask(predictor, caller, "iris", X[at : at + 2].tolist(), outputs=outputs)
            for at, outputs in enumerate(wanted)
        )
    )

    for at, (outputs, answer) in enumerate(zip(wanted, answers, strict=True)):
        assert tuple(answer) == outputs
        if "label" in outputs:
            assert answer["label"] == model.predict(X[at : at + 2]).tolist()
        if "probabilities" in outputs:
            np.testing.assert_allclose(answer["probabilities"], model.predict_proba(X[at : at + 2]))


async def test_requests_that_come_within_the_delay_share_a_call(moody, say, tune):
    await tune(moody, max_batch_delay_ms=100)

    first = asyncio.create_task(say(COMPANY))
    await asyncio.sleep(0.02)
    second = asyncio.create_task(say(COMPANY))

    assert await asyncio.gather(first, second) == [2, 2]


async def test_a_request_without_company_waits_no_longer_than_the_delay(moody, say, tune):
    await tune(moody, max_batch_delay_ms=100)

    assert [await say(COMPANY, deadline_s=1) for _ in range(5)] == [1] * 5


async def test_without_a_delay_nobody_waits_for_company(say):
    first = asyncio.create_task(say(COMPANY))
    await asyncio.sleep(0.1)

    assert [await first, await say(COMPANY)] == [1, 1]


async def test_a_call_has_no_more_rows_than_the_owner_allows(moody, say, tune, busy):
    await tune(moody, max_batch_rows=4)
    naps = await busy()

    answers = await asyncio.gather(*(say(COMPANY) for _ in range(10)))
    await asyncio.gather(*naps)

    assert sorted(answers) == [2] * 2 + [4] * 8


async def test_a_redis_that_loses_its_data_and_connections_costs_no_request(say, busy, redis):
    naps = await busy()
    waiting = asking(say, range(20))
    await asyncio.sleep(0.1)

    await redis.flushall()
    await redis.client_kill_filter(_type="normal", skipme=True)
    waiting += asking(say, range(20, 40))

    assert await asyncio.gather(*waiting) == list(range(40))
    await asyncio.gather(*naps)


async def test_a_redis_that_dies_and_comes_back_empty_costs_no_request(say, busy, own_redis):
    naps = await busy()
    waiting = asking(say, range(20))
    await asyncio.sleep(0.1)

    own_redis.kill()
    waiting += asking(say, range(20, 40))
    await own_redis.start()

    assert await asyncio.gather(*waiting) == list(range(40))
    await asyncio.gather(*naps)


async def test_a_redis_that_stands_still_for_a_while_costs_no_request(say, own_redis):
    stop = time.monotonic() + 5

    async def client() -> int:
        answered = 0
        while time.monotonic() < stop:
            assert await say(0, answered) == answered
            answered += 1
        return answered

    clients = [asyncio.create_task(client()) for _ in range(16)]
    await asyncio.sleep(1)
    own_redis.hold_still()
    await asyncio.sleep(2)
    own_redis.go_on()

    assert min(await asyncio.gather(*clients)) > 0


async def test_replies_lost_with_their_connection_are_asked_for_again(say, settings):
    redis = connect_redis(settings.redis_url, connections=1)  # the fixture's pool is in use by who asks
    kills = 0
    numbers = list(range(100))

    for _ in range(10):
        answers = asyncio.gather(*asking(say, numbers))
        kills += await kill_readers(redis)
        assert await answers == numbers

    await redis.aclose()
    assert kills > 3


async def kill_readers(redis) -> int:
    """Cut the connections on which replies are awaited; how many there were, one at least."""
    killed = 0
    async with asyncio.timeout(30):
        while not killed:  # a reader that was killed takes a while to read again
            await asyncio.sleep(0.02)
            for client in await redis.client_list():
                if client["cmd"] == "blmpop":
                    killed += await redis.client_kill_filter(_id=client["id"])
    return killed


async def test_a_reply_that_nobody_can_read_keeps_no_other_from_its_caller(busy, redis, predictor):
    naps = await busy()
    [first, _] = predictor._queue._waiting  # what a worker would answer now

    reply = encode([Reply(first, {"label": [7.0]})])
    await redis.rpush(predictor._queue._reply_to, b"of another release", reply)

    assert await asyncio.gather(*naps) == [7, 0]


async def test_scripts_that_somebody_flushed_are_brought_again(say, redis):
    await say(0, 1)

    await redis.script_flush()
    entries = []
    for _ in range(10):  # a turn of the event loop each
        entries.append(asyncio.create_task(say(COUNT, 2)))
        await asyncio.sleep(0)

    assert await asyncio.gather(*entries) == [2] * 10
    assert await say(TOTAL) == 10  # none was sent twice


async def test_a_version_whose_artifact_is_lost_is_tried_once_and_its_callers_are_told(
    predict_workers, uploads, predictor, caller, settings
):
    first = await predict_workers.start()
    version = await uploads.add("iris", LogisticRegression(max_iter=1000).fit(X, y))
    first.kill()
    artifact = Path(settings.storage_url.removeprefix("file://")) / version.artifact_key
    artifact.rename(artifact.with_suffix(".away"))
    worker = await predict_workers.start()

    with pytest.raises(ModelLoading, match="could not be loaded"):
        await ask(predictor, caller, "iris", X[:1].tolist(), deadline_s=20)
    artifact.with_suffix(".away").rename(artifact)
    await asyncio.sleep(1)

    assert worker.log.read_text().count("model not loaded") == 1
    assert hosts_of(worker) == []
    assert await ask(predictor, caller, "iris", X[:1].tolist(), deadline_s=20) == {"label": [0]}
