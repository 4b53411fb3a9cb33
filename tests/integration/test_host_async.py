"""The same hosts, driven by an event loop."""

import asyncio
import os
import signal
from pathlib import Path

import joblib
import numpy as np
import psutil
import pytest

from tests.fixtures import misbehaving
from tests.fixtures.misbehaving import Misbehaving, number_of
from workers.hosting.async_host import AsyncHost
from workers.hosting.call import PredictCall
from workers.hosting.errors import HostDied, HostGone, HostTimedOut, ModelFailed


@pytest.fixture
async def open_async(host_template):
    hosts = []

    async def opened(path: Path):
        host = await AsyncHost.spawn(host_template)
        hosts.append(host)
        with path.open("rb") as file:
            return host, await host.load(file.fileno(), probe=True, timeout_s=60)

    yield opened
    for host in hosts:
        host.kill()


@pytest.fixture
async def host(open_async, tmp_path):
    host, _ = await open_async(misbehaving.saved(Misbehaving(), tmp_path / "model.pkl"))
    return host


def deed(name: str = "") -> PredictCall:
    return PredictCall(rows=1, matrix=[np.array([number_of(name), 1.0]).tobytes()])


async def test_calls_are_answered_in_their_order(open_async, iris_on_array):
    host, verdict = await open_async(iris_on_array)
    X, direct = np.random.default_rng(2).uniform(0, 8, size=(60, 4)), joblib.load(iris_on_array)
    answers = []

    for pair in X.reshape(30, 2, 4):
        calls = [host.predict(PredictCall(rows=1, matrix=[row.tobytes()]), timeout_s=30) for row in pair]
        answers += await asyncio.gather(*calls)

    assert verdict.status == "ready"
    assert [answer.outputs["label"][0] for answer in answers] == direct.predict(X).tolist()


async def test_large_arrays_come_back_whole(open_async, regressor):
    host, _ = await open_async(regressor)
    X, direct = np.random.default_rng(2).normal(size=(50_000, 3)), joblib.load(regressor)

    call = PredictCall(rows=len(X), matrix=[X.tobytes()], reply_as="arrays")
    prediction = await host.predict(call, timeout_s=30)

    np.testing.assert_array_equal(prediction.outputs["label"], direct.predict(X))


async def test_long_lists_come_back_whole(open_async, regressor):
    host, _ = await open_async(regressor)
    X, direct = np.random.default_rng(2).normal(size=(50_000, 3)), joblib.load(regressor)

    prediction = await host.predict(PredictCall(rows=len(X), matrix=[X.tobytes()]), timeout_s=30)

    assert prediction.outputs["label"] == direct.predict(X).tolist()


async def test_an_error_of_the_model_is_of_one_call_only(host):
    bad, good = await asyncio.gather(
        host.predict(deed("leak"), timeout_s=30), host.predict(deed(), timeout_s=30), return_exceptions=True
    )

    assert isinstance(bad, ModelFailed)
    assert good.outputs["label"] == [1.0]


async def test_a_deadline_ends_the_host_and_every_call_that_waits(host):
    late, behind = await asyncio.gather(
        host.predict(deed("sleep"), timeout_s=0.3),
        host.predict(deed(), timeout_s=30),
        return_exceptions=True,
    )

    assert isinstance(late, HostTimedOut)
    assert isinstance(behind, HostGone)
    assert isinstance(await host.died, HostTimedOut)


async def test_a_call_that_comes_just_after_the_end_is_none_of_its_doing(host):
    deadly = host.submit(deed("crash"), timeout_s=30)
    while host._burial is None:  # it is dead, and nobody has been told yet
        await asyncio.sleep(0)

    late = host.submit(deed(), timeout_s=30)
    outcomes = await asyncio.gather(deadly, late, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [HostDied, HostGone]


async def test_the_time_of_a_call_counts_from_when_its_turn_has_come(host):
    slow = host.predict(deed("nap"), timeout_s=30)
    quick = host.predict(deed(), timeout_s=0.4)

    answers = await asyncio.gather(slow, quick)

    assert answers[1].outputs["label"] == [1.0]


async def test_a_killed_host_fails_its_calls_and_tells_the_loop(host):
    waiting = host.submit(deed("sleep"), timeout_s=30)

    os.kill(host.pid, signal.SIGKILL)

    with pytest.raises(HostDied, match="SIGKILL"):
        await waiting
    assert (await host.died).out_of_memory
    with pytest.raises(HostDied):
        await host.predict(deed(), timeout_s=1)


async def test_an_idle_host_that_dies_is_noticed(host):
    os.kill(host.pid, signal.SIGTERM)

    death = await asyncio.wait_for(host.died, 10)

    assert death.how == "crashed (SIGTERM)"


async def test_ending_a_host_on_purpose_fails_its_calls(host):
    process = [psutil.Process(host.pid)]
    waiting = host.submit(deed("sleep"), timeout_s=30)

    host.kill()

    with pytest.raises(HostDied, match="on purpose"):
        await waiting
    await asyncio.to_thread(psutil.wait_procs, process, 10)
    assert not process[0].is_running()


async def test_whoever_asked_may_leave(host):
    waiting = asyncio.ensure_future(host.predict(deed("nap"), timeout_s=30))
    await asyncio.sleep(0)
    waiting.cancel()

    prediction = await host.predict(deed(), timeout_s=30)

    assert prediction.outputs["label"] == [1.0]
    assert waiting.cancelled()


async def test_nonsense_ends_the_host(host):
    with pytest.raises(HostDied, match="was stopped"):
        await host.predict(deed("forge"), timeout_s=30)
