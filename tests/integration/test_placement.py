"""Where versions are held and by how many hosts: real workers, hosts, Redis and PostgreSQL."""

import asyncio
import sys
import time
from collections import Counter

import cloudpickle
import numpy as np
import psutil
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier

from shared.background import end_tasks
from shared.catalog.messages import announce_model
from shared.catalog.tables import ModelRow
from shared.ids import new_id
from shared.predictions.errors import PredictionTimeout
from shared.predictions.placement import Heartbeats, WishesForMore, ask_to_load
from tests.fixtures.predictions import ask

WITHIN_S = 60  # other work may keep the machine busy


class Slow(ClassifierMixin, BaseEstimator):
    """Computes nothing, but for a while."""

    def fit(self, X, y):
        self.classes_, self.n_features_in_ = np.unique(y), X.shape[1]
        return self

    def predict(self, X):
        time.sleep(0.05)
        return np.zeros(len(X), dtype=int)


class SlowToLoad(Slow):
    """Takes a while to be unpickled."""

    def __setstate__(self, state):
        time.sleep(2)
        super().__setstate__(state)


class Large(Slow):
    """Has 60 MB for itself once it is loaded."""

    def __setstate__(self, state):
        super().__setstate__(state)
        self.ballast_ = bytearray(b"x" * 60_000_000)


def by_value(kind: type) -> bytes:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return cloudpickle.dumps(kind().fit(np.zeros((2, 1)), [0, 1]))


def constant(label: int) -> DummyClassifier:
    return DummyClassifier(strategy="constant", constant=label).fit([[0.0]] * 4, [1, 2, 3, 4])


def hosts_of(worker) -> list[psutil.Process]:
    return [host for template in psutil.Process(worker.popen.pid).children() for host in template.children()]


async def until(condition, *, within_s: float = WITHIN_S):
    """What `condition` comes to, as soon as that is true."""
    async with asyncio.timeout(within_s):
        while True:
            found = condition()
            found = await found if asyncio.iscoroutine(found) else found
            if found:
                return found
            await asyncio.sleep(0.05)


@pytest.fixture
def heartbeats(redis, settings):
    return Heartbeats(redis, heartbeat_s=settings.worker_heartbeat_s)


@pytest.fixture
def spread(heartbeats):
    """Hosts of a version by worker, as the heartbeats tell."""

    async def look(version_id) -> Counter:
        states = await heartbeats.living()
        return Counter(
            {s.worker_id: h.hosts for s in states for h in s.held if h.version_id == version_id and h.hosts}
        )

    return look


@pytest.fixture
def tune(database, redis):
    """Sets a model's settings as the API does."""

    async def change(version, **settings) -> None:
        async with database.transaction() as session:
            (await session.get_one(ModelRow, version.model_id)).settings = settings
        await announce_model(redis, version.model_id)

    return change


@pytest.fixture
async def clients(predictor, caller):
    """Sends requests for a model without a pause, until the test ends."""
    tasks: list[asyncio.Task] = []

    def begin(model: str, count: int) -> None:
        async def client() -> None:
            while True:
                await ask(predictor, caller, model, [[0.0]], deadline_s=30)

        tasks.extend(asyncio.create_task(client()) for _ in range(count))

    yield begin
    await end_tasks(*tasks)


async def test_a_busy_version_gets_another_host(predict_workers, uploads, clients):
    worker = await predict_workers.start(max_batch_rows=1, idle_cores_for_host=0)
    await uploads.add("slow", by_value(Slow))
    assert len(hosts_of(worker)) == 1

    clients("slow", 16)

    await until(lambda: len(hosts_of(worker)) == 2)


async def test_the_owner_bounds_how_many_hosts_a_version_gets(
    predict_workers, uploads, clients, tune, spread
):
    worker = await predict_workers.start(max_batch_rows=1, idle_cores_for_host=0)
    version = await uploads.add("slow", by_value(Slow))
    await tune(version, max_replicas=1)

    clients("slow", 16)
    await asyncio.sleep(5)

    assert len(hosts_of(worker)) == 1
    assert sum((await spread(version.id)).values()) == 1


async def test_a_worker_that_cannot_do_more_has_another_one_help(predict_workers, uploads, clients, spread):
    for _ in range(2):
        await predict_workers.start(max_batch_rows=1, max_hosts_per_version=1, idle_cores_for_host=0)
    version = await uploads.add("slow", by_value(Slow))
    assert len(await spread(version.id)) == 1

    clients("slow", 16)

    await until(lambda: _holders(spread, version.id, 2))


async def test_only_a_worker_without_the_version_takes_a_wish(redis):
    wishes, version_id, other = WishesForMore(redis), new_id(), new_id()
    await wishes.ask([version_id])

    assert await wishes.take(held=[other, version_id]) is None
    assert await wishes.take(held=[other]) == version_id
    assert await wishes.take(held=[other]) is None


async def test_a_wish_that_is_not_repeated_is_forgotten(redis):
    wishes, version_id = WishesForMore(redis), new_id()
    await redis.zadd("predict:wanted-more", {str(version_id): time.time() * 1000 - 5000})

    assert await wishes.take(held=[]) is None


async def test_pinned_replicas_are_loaded_at_once_and_spread_over_the_workers(
    predict_workers, uploads, tune, spread
):
    first, second = [await predict_workers.start() for _ in range(2)]
    version = await uploads.add("pinned", constant(1))

    await tune(version, min_replicas=3)

    await until(lambda: _hosts(spread, version.id, 3))
    assert sorted((await spread(version.id)).values()) == [1, 2]
    assert len(hosts_of(first)) + len(hosts_of(second)) == 3


async def test_a_worker_that_starts_again_loads_what_is_pinned_before_anybody_asks(
    predict_workers, uploads, tune, spread
):
    worker = await predict_workers.start()
    version = await uploads.add("pinned", constant(1))
    await tune(version, min_replicas=1)
    worker.kill()

    await predict_workers.start()

    await until(lambda: _hosts(spread, version.id, 1))


async def test_when_a_worker_is_killed_another_loads_what_it_had_pinned(
    predict_workers, uploads, tune, spread
):
    workers = [await predict_workers.start() for _ in range(2)]
    version = await uploads.add("pinned", constant(1))
    await tune(version, min_replicas=1)
    [holder] = await until(lambda: spread(version.id))
    doomed, other = sorted(workers, key=lambda worker: f"-{worker.popen.pid}-" not in holder)

    doomed.kill()

    await until(lambda: hosts_of(other))
    await until(lambda: _hosts(spread, version.id, 1))
    assert holder not in await spread(version.id)


async def test_a_pinned_version_never_makes_room_for_another(
    predict_workers, uploads, predictor, caller, tune, spread
):
    await predict_workers.start(max_loaded_versions=2)
    pinned = await uploads.add("pinned", constant(1))
    await tune(pinned, min_replicas=1)
    for label in (2, 3):
        await uploads.add(f"other{label}", constant(label))
    await asyncio.sleep(1)

    for label in (2, 3, 2, 3):
        answer = await ask(predictor, caller, f"other{label}", [[0.0]], deadline_s=30)
        assert answer == {"label": [label]}

    assert await spread(pinned.id)


async def test_versions_leave_when_their_memory_is_more_than_allowed(
    predict_workers, uploads, heartbeats, predictor, caller
):
    worker = await predict_workers.start(model_memory_bytes=150_000_000)
    for number in range(4):
        await uploads.add(f"large{number}", by_value(Large))

    await until(lambda: len(hosts_of(worker)) <= 2)
    [state] = await until(lambda: _within_budget(heartbeats))
    assert state.memory_bytes > 50_000_000
    for number in range(4):
        answer = await ask(predictor, caller, f"large{number}", [[0.0]], deadline_s=30)
        assert answer == {"label": [0]}


async def test_many_more_models_than_places_all_answer(predict_workers, uploads, predictor, caller):
    worker = await predict_workers.start(max_loaded_versions=3)
    for label in range(1, 5):
        for copy in range(3):
            await uploads.add(f"m{label}{copy}", constant(label))

    async def is_answered(label: int, copy: int) -> bool:
        return await ask(predictor, caller, f"m{label}{copy}", [[0.0]], deadline_s=30) == {"label": [label]}

    for _ in range(2):
        answers = await asyncio.gather(
            *(is_answered(label, copy) for label in range(1, 5) for copy in range(3))
        )
        assert all(answers)
    await until(lambda: len(hosts_of(worker)) <= 3)


async def test_an_upload_is_held_before_it_is_announced(predict_workers, uploads, spread):
    await predict_workers.start()

    version = await uploads.add("iris", constant(1))

    assert sum((await spread(version.id)).values()) == 1


async def test_other_settings_are_followed_without_an_interruption(
    predict_workers, uploads, clients, tune, spread
):
    worker = await predict_workers.start()
    version = await uploads.add("slow", by_value(Slow))
    [before] = hosts_of(worker)
    clients("slow", 4)

    await tune(version, accelerate=False)

    await until(lambda: not before.is_running())
    assert len(hosts_of(worker)) == 1
    assert sum((await spread(version.id)).values()) == 1


async def test_a_model_has_a_time_limit_of_its_own(predict_workers, uploads, predictor, caller, tune):
    await predict_workers.start()
    version = await uploads.add("slow", by_value(Slow))
    await ask(predictor, caller, "slow", [[0.0]])
    await tune(version, call_timeout_ms=10)

    async def is_cut_off() -> bool:
        try:
            await ask(predictor, caller, "slow", [[0.0]], deadline_s=10)
        except PredictionTimeout as error:
            return "0.01 s" in str(error)
        return False

    await until(is_cut_off)


async def test_a_promotion_waits_until_a_worker_holds_the_version(
    client, account, predict_workers, heartbeats
):
    worker = await predict_workers.start(max_loaded_versions=1)
    await _upload(client, account, by_value(SlowToLoad))
    newest = await _upload(client, account, by_value(Slow))
    await until(lambda: len(hosts_of(worker)) == 1)

    answer = await client.post("/api/v1/models/m/versions/1/promote", headers=account.headers)

    assert (answer.status_code, answer.json()["current_version"]) == (200, 1)
    [state] = await heartbeats.living()
    assert [str(held.version_id) for held in state.held] != [newest["version"]["id"]]
    assert len(state.held) == 1


async def test_a_rollback_waits_likewise(client, account, predict_workers, heartbeats):
    await predict_workers.start(max_loaded_versions=1)
    first = await _upload(client, account, by_value(SlowToLoad))
    await _upload(client, account, by_value(Slow))

    answer = await client.post("/api/v1/models/m/rollback", headers=account.headers)

    assert (answer.status_code, answer.json()["current_version"]) == (200, 1)
    [state] = await heartbeats.living()
    assert [str(held.version_id) for held in state.held] == [first["version"]["id"]]


async def test_a_promotion_that_does_not_want_to_wait_does_not(client, account, predict_workers):
    await predict_workers.start(max_loaded_versions=1)
    await _upload(client, account, by_value(SlowToLoad))
    await _upload(client, account, by_value(Slow))

    answer = await client.post(
        "/api/v1/models/m/versions/1/promote", headers={**account.headers, "Prefer": "wait=0"}
    )

    assert (answer.status_code, answer.json()["current_version"]) == (200, 1)


async def test_a_worker_with_room_takes_what_is_wanted_before_a_full_one(
    predict_workers, uploads, redis, heartbeats
):
    await predict_workers.start(max_loaded_versions=1)
    versions = [await uploads.add(f"m{number}", constant(1)) for number in range(3)]
    await predict_workers.start(max_loaded_versions=20)
    await until(lambda: _count_living(heartbeats, 2))
    await asyncio.sleep(2.5)  # each has seen the other, and waits for notes that began before are over

    await ask_to_load(redis, [versions[0].id], now_ms=1)

    await until(lambda: _held_by_capacity(heartbeats, versions[0].id))
    assert await _held_by_capacity(heartbeats, versions[0].id) == [20]


async def _upload(client, account, content: bytes) -> dict:
    answer = await client.post(
        "/api/v1/models/upload",
        files={"file": ("m.pkl", content)},
        data={"name": "m"},
        headers={**account.headers, "Prefer": "wait=30"},
    )
    assert answer.json()["version"]["status"] == "ready", answer.text
    return answer.json()


async def _hosts(spread, version_id, count: int) -> bool:
    return sum((await spread(version_id)).values()) == count


async def _holders(spread, version_id, count: int) -> bool:
    return len(await spread(version_id)) == count


async def _within_budget(heartbeats) -> list:
    return [s for s in await heartbeats.living() if s.held and s.memory_bytes <= s.memory_budget_bytes]


async def _count_living(heartbeats, count: int) -> bool:
    return len(await heartbeats.living()) == count


async def _held_by_capacity(heartbeats, version_id) -> list[int]:
    return [s.capacity for s in await heartbeats.living() for h in s.held if h.version_id == version_id]
