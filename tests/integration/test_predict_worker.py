"""The real-time path between the API's half and predict workers: real streams, hosts and kills."""

import asyncio
import os
import signal
import sys
import time

import cloudpickle
import msgspec
import numpy as np
import psutil
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sqlalchemy import select

from api.predictor import Predictor
from shared.analytics.recorder import Recorder
from shared.catalog.messages import announce_model
from shared.catalog.tables import ModelRow
from shared.predictions.errors import ModelBusy, ModelCrashed, ModelFailed, ModelLoading, PredictionTimeout
from shared.webhooks.tables import DeliveryRow, EndpointRow
from tests.fixtures.predictions import ask

X, y = load_iris(return_X_y=True)
MODEL = LogisticRegression(max_iter=1000).fit(X, y)


class Moody(ClassifierMixin, BaseEstimator):
    """Dies of one row, and takes seconds for another."""

    def fit(self, X, y):
        self.classes_, self.n_features_in_ = np.unique(y), X.shape[1]
        return self

    def predict(self, X):
        if (X[:, 0] == 666).any():
            os.abort()
        if (X[:, 0] == 777).any():
            time.sleep(3)
        return np.zeros(len(X), dtype=int)


class SlowToLoad(Moody):
    """Takes a while to be unpickled."""

    def __setstate__(self, state):
        time.sleep(2)
        super().__setstate__(state)


def by_value(model) -> bytes:
    """A pickle that brings the code of its class along: hosts cannot import the tests."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return cloudpickle.dumps(model)


def hosts_of(worker) -> list[psutil.Process]:
    """The model hosts of a worker: children of its template."""
    return [host for template in psutil.Process(worker.popen.pid).children() for host in template.children()]


def constant(label: int) -> DummyClassifier:
    return DummyClassifier(strategy="constant", constant=label).fit([[0.0]] * 4, [1, 2, 3, 4])


async def labels(predictor, caller, rows, **options) -> list:
    return (await ask(predictor, caller, "iris", rows, **options))["label"]


async def test_an_upload_is_judged_and_answers_like_scikit_learn(predict_workers, uploads, predictor, caller):
    await predict_workers.start()

    version = await uploads.add("iris", MODEL)

    assert version.status == "ready"
    assert version.verdict["estimator"].endswith(".LogisticRegression")
    assert await labels(predictor, caller, X.tolist()) == MODEL.predict(X).tolist()


async def test_probabilities_come_in_the_order_of_the_classes(predict_workers, uploads, predictor, caller):
    await predict_workers.start()
    await uploads.add("iris", MODEL)

    outputs = await ask(predictor, caller, "iris", X[:5].tolist(), outputs=("label", "probabilities"))

    np.testing.assert_allclose(outputs["probabilities"], MODEL.predict_proba(X[:5]))


async def test_a_file_that_is_no_model_is_rejected_with_a_remedy(predict_workers, uploads):
    await predict_workers.start()

    version = await uploads.add("iris", b"to be or not to be")

    assert version.status == "rejected"
    assert version.verdict["reason"]["remedy"]


async def test_an_upload_whose_message_was_lost_is_judged_when_it_is_asked_for_again(
    predict_workers, uploads, redis
):
    version_id = await uploads.leave("iris", MODEL)
    await redis.flushall()
    await predict_workers.start()

    await redis.zadd("predict:validations", {str(version_id): 0})

    assert (await uploads.verdict(version_id)).status == "ready"


async def test_notes_that_nobody_can_read_stop_no_worker(predict_workers, uploads, redis):
    await predict_workers.start()
    await redis.zadd("predict:validations", {"a note of another release": 0})
    await redis.hset("predict:worker-states", "a worker of another release", "its state")

    version = await uploads.add("iris", MODEL)

    assert version.status == "ready"
    await redis.hdel("predict:worker-states", "a worker of another release")
    async with asyncio.timeout(10):
        while await redis.zcard("predict:workers") != 1:
            await asyncio.sleep(0.05)


async def test_a_bad_request_fails_alone(predict_workers, uploads, predictor, caller):
    await predict_workers.start()
    await uploads.add("iris", MODEL)
    good, bad = X[:1].tolist(), [[None, 1, 1, 1]]  # logistic regression takes no missing values

    rows = [good] * 20 + [bad] + [good] * 20
    answers = await asyncio.gather(*(labels(predictor, caller, r) for r in rows), return_exceptions=True)

    failed = [index for index, answer in enumerate(answers) if isinstance(answer, Exception)]
    assert failed == [20]
    assert isinstance(answers[20], ModelFailed)


async def test_a_killed_model_host_costs_no_answer(predict_workers, uploads, predictor, caller):
    worker = await predict_workers.start()
    await uploads.add("iris", MODEL)
    [host] = hosts_of(worker)
    asking = [asyncio.create_task(labels(predictor, caller, X[:1].tolist())) for _ in range(50)]

    await asyncio.sleep(0)
    host.kill()
    answers = await asyncio.gather(*asking)

    assert answers == [[0]] * 50


async def test_a_request_that_crashes_the_model_fails_alone(predict_workers, uploads, predictor, caller):
    await predict_workers.start()
    await uploads.add("iris", by_value(Moody().fit(X, y)))
    good, deadly = X[:1].tolist(), [[666, 0, 0, 0]]

    rows = [good] * 3 + [deadly] + [good] * 3
    asking = [labels(predictor, caller, r, deadline_s=30) for r in rows]
    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert [isinstance(answer, ModelCrashed) for answer in answers] == [False] * 3 + [True] + [False] * 3


async def test_killing_a_worker_under_load_fails_no_request(predict_workers, uploads, predictor, caller):
    first = await predict_workers.start()
    await uploads.add("iris", MODEL)
    await labels(predictor, caller, X[:1].tolist())
    await predict_workers.start()
    stop = time.monotonic() + 4

    async def client() -> int:
        answered = 0
        while time.monotonic() < stop:
            assert await labels(predictor, caller, X[:1].tolist()) == [0]
            answered += 1
        return answered

    clients = [asyncio.create_task(client()) for _ in range(32)]
    await asyncio.sleep(1)
    first.kill()
    answered = await asyncio.gather(*clients)

    assert min(answered) > 0


async def test_a_stopped_worker_answers_what_it_took_and_leaves(
    predict_workers, uploads, predictor, caller, redis
):
    worker = await predict_workers.start()
    version = await uploads.add("iris", by_value(Moody().fit(X, y)))
    asking = asyncio.create_task(labels(predictor, caller, [[777, 0, 0, 0]], deadline_s=30))
    async with asyncio.timeout(10):
        while (await redis.xpending(f"predict:{version.id}", "workers"))["pending"] == 0:
            await asyncio.sleep(0.01)

    worker.popen.send_signal(signal.SIGTERM)

    assert await asking == [0]
    assert await worker.wait_until_ended() == 0
    assert await redis.zcard("predict:workers") == 0


async def test_a_host_killed_while_it_opens_an_upload_does_not_condemn_it(predict_workers, uploads):
    worker = await predict_workers.start()
    version_id = await uploads.leave("iris", by_value(SlowToLoad().fit(X, y)))

    async with asyncio.timeout(10):
        while not (hosts := hosts_of(worker)):
            await asyncio.sleep(0.01)
    hosts[0].kill()
    version = await uploads.verdict(version_id)

    assert (version.status, version.validation_attempts) == ("ready", 2)


async def test_a_version_that_crashes_again_and_again_is_degraded_and_still_answers(
    predict_workers, uploads, predictor, caller, *, database
):
    async with database.transaction() as session:
        row = EndpointRow(tenant_id=caller.tenant_id, url="http://127.0.0.1:1/", events=[], enabled=True)
        row.description, row.salt = "", b"salt"
        session.add(row)
    await predict_workers.start()
    version = await uploads.add("iris", by_value(Moody().fit(X, y)))

    for _ in range(3):  # each is tried twice
        with pytest.raises(ModelCrashed):
            await labels(predictor, caller, [[666, 0, 0, 0]], deadline_s=30)

    async with asyncio.timeout(10):
        while (await uploads.row(version.id)).status != "degraded":
            await asyncio.sleep(0.05)
    assert await labels(predictor, caller, X[:1].tolist(), deadline_s=30) == [0]
    async with database.transaction() as session:
        told = (await session.scalars(select(DeliveryRow.event_type).order_by(DeliveryRow.id))).all()
    assert told == ["model.ready", "model.degraded"]


async def test_the_host_of_a_deleted_version_goes(predict_workers, uploads, database, redis):
    worker = await predict_workers.start()
    version = await uploads.add("iris", MODEL)
    assert len(hosts_of(worker)) == 1

    async with database.transaction() as session:
        await session.delete(await session.get_one(ModelRow, version.model_id))
    await announce_model(redis, version.model_id)

    async with asyncio.timeout(10):
        while hosts_of(worker):
            await asyncio.sleep(0.02)


async def test_a_full_worker_lets_go_of_what_was_used_longest_ago(
    predict_workers, uploads, predictor, caller
):
    worker = await predict_workers.start(max_loaded_versions=2)
    for name, label in (("one", 1), ("two", 2), ("three", 3)):
        await uploads.add(name, constant(label))

    for name, label in [("one", 1), ("two", 2), ("three", 3)] * 2:
        assert await ask(predictor, caller, name, [[0.0]]) == {"label": [label]}

    async with asyncio.timeout(10):
        while len(hosts_of(worker)) > 2:  # the last that made room may still be leaving
            await asyncio.sleep(0.02)


async def test_without_any_worker_the_caller_is_told_that_the_model_loads(
    predict_workers, uploads, predictor, caller
):
    worker = await predict_workers.start()
    await uploads.add("iris", MODEL)
    worker.kill()
    await asyncio.sleep(2)

    with pytest.raises(ModelLoading):
        await labels(predictor, caller, X[:1].tolist(), deadline_s=0.2)


async def test_a_model_slower_than_the_deadline_is_told_as_such(predict_workers, uploads, predictor, caller):
    await predict_workers.start()
    await uploads.add("iris", by_value(Moody().fit(X, y)))
    started = time.monotonic()

    with pytest.raises(PredictionTimeout):
        await labels(predictor, caller, [[777, 0, 0, 0]], deadline_s=0.3)

    assert time.monotonic() - started < 2


async def test_past_the_backlog_the_answer_is_busy_at_once(
    settings, database, redis, predict_workers, uploads, caller
):
    await predict_workers.start()
    await uploads.add("iris", MODEL)
    bounded = msgspec.structs.replace(settings, max_pending_rows=10)
    predictor = Predictor(bounded, database, redis, recorder=Recorder(settings, database))
    await predictor.start()

    asking = [labels(predictor, caller, X[:4].tolist()) for _ in range(5)]
    answers = await asyncio.gather(*asking, return_exceptions=True)
    await predictor.close()

    assert sum(isinstance(answer, ModelBusy) for answer in answers) == 3
    assert [answer for answer in answers if not isinstance(answer, ModelBusy)] == [[0] * 4] * 2


async def test_nothing_is_left_in_redis_when_all_is_answered(
    predict_workers, uploads, predictor, caller, redis
):
    await predict_workers.start()
    version = await uploads.add("iris", MODEL)
    await asyncio.gather(*(labels(predictor, caller, X[:1].tolist()) for _ in range(100)))

    assert await redis.xlen(f"predict:{version.id}") == 0
    assert await redis.keys("predict:replies:*") == []
