"""When an engine is used, when it is not, and that no attempt at one costs a model its place."""

import functools
import os
import signal
import sys
import time
from pathlib import Path
from uuid import uuid4

import cloudpickle
import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from shared.catalog.model_settings import ModelSettings
from shared.catalog.verdict import Engine, engine_to_load
from tests.fixtures.training import churn_rows, saved
from workers.hosting.call import PredictCall
from workers.hosting.errors import HostDied
from workers.predict.artifact import Artifact
from workers.predict.version_host import VersionHost

X, y = load_iris(return_X_y=True)


class Intercept:
    """Adds itself to scores as scikit-learn does it, and misbehaves when a compiler takes it for numbers."""

    __array_ufunc__ = None

    def __init__(self, deed: str) -> None:
        self.deed = deed

    def __radd__(self, scores):
        return scores + 0.5

    def __array__(self, *_, **__):
        if self.deed == "hang":
            time.sleep(600)
        os._exit(7)


class Dice(LogisticRegression):
    """Answers at random."""

    def predict(self, rows):
        return np.random.default_rng().integers(0, 2, len(rows))


def predicted(host, rows: np.ndarray = X) -> list:
    host.submit(PredictCall(rows=len(rows), matrix=[rows.tobytes()]))
    return host.receive(timeout_s=60).outputs["label"]


def by_value(model) -> bytes:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return cloudpickle.dumps(model)


def logistic(**state) -> LogisticRegression:
    model = LogisticRegression(max_iter=1000).fit(X, y)
    vars(model).update(state)
    return model


@pytest.fixture
def version_host(templates, storage, settings):
    """A version's host as a predict worker has it: `await version_host(content, settings=...)`."""
    hosts: list[VersionHost] = []

    async def made(content: bytes, **options) -> VersionHost:
        async def pieces():
            yield content

        version_id = uuid4()
        key = f"artifacts/{version_id}"
        await storage.write(key, pieces(), max_bytes=1 << 30)
        artifact = Artifact(version_id=version_id, model_id=uuid4(), artifact_key=key, **options)
        hosts.append(VersionHost(artifact, templates=templates, storage=storage, settings=settings))
        return hosts[-1]

    yield made
    for host in hosts:
        host.kill()


async def labels_of(host: VersionHost) -> list:
    return (await host.submit(PredictCall(rows=len(X), matrix=[X.tobytes()]), timeout_s=30)).outputs["label"]


async def test_a_verdict_tells_the_engine_and_what_was_seen_of_it(version_host):
    model = RandomForestClassifier(20, random_state=0).fit(X, y)
    host = await version_host(by_value(model))

    verdict = await host.validate()

    assert verdict.engine.name == "onnxruntime"
    assert "to the last bit" in verdict.engine.why
    assert verdict.engine.rows_compared > 1000
    assert verdict.engine.speed_up["1"] > 1
    assert verdict.engine.native_above_rows is None or verdict.engine.native_above_rows >= 64
    assert verdict.memory_bytes > 0
    assert await labels_of(host) == model.predict(X).tolist()


async def test_engines_can_be_switched_off(version_host):
    host = await version_host(by_value(logistic()), settings=ModelSettings(accelerate=False))

    verdict = await host.validate()

    assert verdict.engine is None
    assert await labels_of(host) == logistic().predict(X).tolist()


@pytest.mark.parametrize("deed", ["exit", "hang"])
async def test_an_attempt_that_goes_wrong_leaves_the_model_native(version_host, monkeypatch, deed):
    monkeypatch.setattr("workers.predict.version_host.ACCELERATE_TIMEOUT_S", 2.0)
    host = await version_host(by_value(logistic(intercept_=Intercept(deed))))

    verdict = await host.validate()

    assert verdict.status == "ready"
    assert verdict.engine.name == "native"
    assert ("exited with status 7" if deed == "exit" else "no answer within 2 s") in verdict.engine.why
    assert await labels_of(host) == logistic(intercept_=np.full(3, 0.5)).predict(X).tolist()


async def test_a_host_that_is_loaded_again_has_the_engine(version_host):
    host = await version_host(by_value(logistic()))
    engine = (await host.validate()).engine

    os.kill(host._host.pid, signal.SIGKILL)
    with pytest.raises(HostDied):
        await labels_of(host)
    await host.start()
    again = await labels_of(host)

    assert again == logistic().predict(X).tolist()
    assert host.artifact.engine == engine


def test_a_later_load_builds_the_engine_that_the_verdict_names(open_model, tmp_path):
    path = saved(RandomForestClassifier(20, random_state=0).fit(X, y), tmp_path / "model.joblib")
    first, verdict = open_model(path)
    engine = first.accelerate(timeout_s=60)

    later, second = open_model(path, probe=False, signature=verdict.signature, engine=engine)
    native, third = open_model(path, probe=False, signature=verdict.signature)

    assert second.engine == engine
    assert third.engine is None
    assert predicted(later) == predicted(native) == joblib.load(path).predict(X).tolist()


def test_an_engine_that_cannot_be_built_again_leaves_the_model_native(open_model, tmp_path):
    path = saved(logistic(), tmp_path / "model.joblib")
    _, verdict = open_model(path)

    host, again = open_model(
        path, probe=False, signature=verdict.signature, engine=Engine(name="treelite", why="")
    )

    assert again.engine.name == "native"
    assert "no longer the one" in again.engine.why
    assert predicted(host) == logistic().predict(X).tolist()


def test_a_model_whose_engine_answers_otherwise_stays_native(open_model, tmp_path):
    # Its answers are no more those of its coefficients: as if an engine misread them.
    model = logistic(predict=functools.partial(np.argmin, axis=1))
    host, _ = open_model(saved(model, tmp_path / "model.joblib"))

    engine = host.accelerate(timeout_s=60)

    assert engine.name == "native"
    assert "other labels" in engine.why
    assert predicted(host) == np.argmin(X, axis=1).tolist()


def test_a_model_whose_probabilities_would_differ_stays_native(open_model, tmp_path):
    model = logistic(predict_proba=functools.partial(np.full_like, fill_value=0.25))
    host, _ = open_model(saved(model, tmp_path / "model.joblib"))

    engine = host.accelerate(timeout_s=60)

    assert engine.name == "native"


def test_a_table_is_not_compiled(open_model, churn_pipeline):
    host, _ = open_model(churn_pipeline)

    engine = host.accelerate(timeout_s=60)

    assert engine.name == "native"
    assert "matrix of numbers" in engine.why
    assert churn_rows(1)[0].shape == (1, 5)


def test_a_model_that_answers_alike_each_time_is_deterministic(open_model, tmp_path, churn_pipeline):
    _, matrix = open_model(saved(logistic(), tmp_path / "model.joblib"))
    _, table = open_model(churn_pipeline)

    assert matrix.deterministic
    assert table.deterministic


@pytest.mark.parametrize(
    "model",
    [DummyClassifier(strategy="uniform").fit(X, y), Dice(max_iter=1000).fit(X, y)],
    ids=["known", "seen"],
)
def test_a_model_that_draws_lots_is_not_deterministic(open_model, tmp_path, model):
    path = tmp_path / "model.pkl"
    path.write_bytes(by_value(model))

    _, verdict = open_model(path)

    assert verdict.status == "ready", verdict.reason
    assert not verdict.deterministic


def test_engines_run_in_one_thread(open_model, tmp_path):
    model = RandomForestClassifier(50, n_jobs=-1, random_state=0).fit(X, y)
    host, _ = open_model(saved(model, tmp_path / "model.joblib"))

    engine = host.accelerate(timeout_s=60)
    predicted(host, np.tile(X, (10, 1)))

    assert engine.name == "onnxruntime"
    assert len(list(Path(f"/proc/{host.pid}/task").iterdir())) == 1


def test_an_engine_shares_its_library_with_the_template(open_model, tmp_path):
    path = saved(RandomForestClassifier(50, random_state=0).fit(X, y), tmp_path / "model.joblib")
    first, verdict = open_model(path)
    engine = first.accelerate(timeout_s=60)

    hosts = [open_model(path, probe=False, signature=verdict.signature, engine=engine)[0] for _ in range(3)]

    assert engine.name == "onnxruntime"
    assert max(host.memory_bytes() for host in hosts) < 30 * 1024 * 1024


def test_a_switched_off_or_native_engine_is_not_loaded_with(open_model, tmp_path):
    host, verdict = open_model(saved(logistic(), tmp_path / "model.joblib"))
    verdict = type(verdict)(status="ready", engine=host.accelerate(timeout_s=60))

    assert engine_to_load(verdict.engine, accelerate=True).name == "linear"
    assert engine_to_load(verdict.engine, accelerate=False) is None
    assert engine_to_load(Engine(name="native", why=""), accelerate=True) is None
