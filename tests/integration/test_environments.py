"""Models of several versions of scikit-learn, trained by each, uploaded over HTTP, served by one worker."""

import asyncio
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import sklearn

from shared.catalog.verdict import Contents
from shared.storage.store import Storage
from tests.fixtures.processes import started
from tests.fixtures.serving import Api, Serving
from workers.environments.environments import Environments

VERSIONS = ("1.3.2", "1.5.2", sklearn.__version__)
WAIT_S = 300

# Run by the interpreter of each environment: what it answers is what the platform must answer.
TRAIN = """
import json, pickle, sys
import numpy as np, pandas as pd, sklearn
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

folder = sys.argv[1]
rng = np.random.default_rng(0)
table = pd.DataFrame({
    "age": rng.integers(18, 90, 300).astype(float),
    "charge": rng.normal(60, 20, 300).round(2),
    "contract": rng.choice(["monthly", "yearly"], 300),
})
leaves = np.where((table.charge > 60) & (table.contract == "monthly"), "yes", "no")
columns = ColumnTransformer([
    ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "charge"]),
    ("words", OneHotEncoder(handle_unknown="ignore"), ["contract"]),
])
X, y = load_iris(return_X_y=True)
models = {
    "churn": (make_pipeline(columns, LogisticRegression()).fit(table, leaves), table),
    "iris": (GradientBoostingClassifier(n_estimators=20, random_state=0).fit(X, y), X),
}
answers = {}
for name, (model, rows) in models.items():
    with open(f"{folder}/{name}.pkl", "wb") as file:
        pickle.dump(model, file)
    asked = rows[::10]
    records = asked.to_dict("records") if name == "churn" else asked.tolist()
    answers[name] = {
        "rows": records,
        "label": model.predict(asked).tolist(),
        "probabilities": model.predict_proba(asked).tolist(),
    }
answers["sklearn"], answers["numpy"] = sklearn.__version__, np.__version__
print(json.dumps(answers))
"""


class Trained(msgspec.Struct, frozen=True):
    """Models of one version of scikit-learn, and what they answer where they were trained."""

    version: str
    folder: Path
    answers: dict[str, Any]

    def artifact(self, name: str) -> bytes:
        return (self.folder / f"{name}.pkl").read_bytes()


@pytest.fixture(scope="module")
async def trained(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> list[Trained]:
    environments = Environments(serving.settings, Storage(serving.settings.storage_url), os.environ)
    try:
        return [
            await train(environments, version, tmp_path_factory.mktemp("trained")) for version in VERSIONS
        ]
    finally:
        environments.close()


async def train(environments: Environments, version: str, folder: Path) -> Trained:
    """Train by that version's own libraries."""
    found = Contents(format="pickle", runtime="sklearn", needs={"scikit-learn": version})
    chosen = await environments.environment_for(found)
    python = ".venv/bin/python"
    if chosen.environment.id is not None:
        held = await environments.get(chosen.environment.id)
        python = str(held.python)
    command = [python, "-I", "-c", TRAIN, str(folder)]
    printed = await asyncio.to_thread(subprocess.check_output, command)
    return Trained(version, folder, json.loads(printed))


async def upload(api: Api, name: str, artifact: bytes) -> dict[str, Any]:
    """The version, with its verdict."""
    async with api.client() as client:
        answer = await client.put(
            f"/api/v1/models/{name}/versions", content=artifact, headers={"Prefer": "wait=60"}
        )
        assert answer.status_code == 201, answer.text
        version = answer.json()["version"]
        async with asyncio.timeout(WAIT_S):
            while version["status"] == "validating":
                await asyncio.sleep(0.1)
                version = (await client.get(f"/api/v1/models/{name}/versions/{version['number']}")).json()
    return version


async def predict(api: Api, name: str, rows: list[Any]) -> dict[str, Any]:
    async with api.client() as client:
        answer = await client.post(
            f"/api/v1/predict/{name}", json={"inputs": rows, "outputs": ["label", "probabilities"]}
        )
    assert answer.status_code == 200, answer.text
    return answer.json()


def model_name(model: str, version: str) -> str:
    return f"{model}-{version.replace('.', '-')}"


async def test_models_of_several_versions_are_served_side_by_side(api, trained):
    versions = {
        (model, made.version): await upload(api, model_name(model, made.version), made.artifact(model))
        for made in trained
        for model in ("iris", "churn")
    }

    for made in trained:
        for model in ("iris", "churn"):
            version, expected = versions[model, made.version], made.answers[model]
            assert version["status"] == "ready", version["verdict"]["reason"]
            answer = await predict(api, model_name(model, made.version), expected["rows"])
            told = version["verdict"]["environment"]["packages"]
            assert (told["scikit-learn"], told["numpy"]) == (made.answers["sklearn"], made.answers["numpy"])
            assert not any("scikit-learn" in warning for warning in version["verdict"]["warnings"])
            assert answer["predictions"] == expected["label"]
            probabilities = [list(row.values()) for row in answer["probabilities"]]
            np.testing.assert_allclose(probabilities, expected["probabilities"], rtol=1e-9)
    ids = {versions["iris", made.version]["verdict"]["environment"]["id"] for made in trained}
    assert len(ids) == len(VERSIONS)
    assert None in ids  # the platform's own


async def test_a_version_has_the_same_environment_when_it_is_loaded_again(serving, api, trained, tmp_path):
    made = trained[0]
    name = model_name("again", made.version)
    version = await upload(api, name, made.artifact("iris"))
    other = msgspec.structs.replace(serving.settings, environments_dir=str(tmp_path / "another machine"))

    environments = Environments(other, Storage(other.storage_url), os.environ)
    held = await environments.get(version["verdict"]["environment"]["id"])
    command = [str(held.python), "-I", "-c", "import sklearn; print(sklearn.__version__)"]
    printed = await asyncio.to_thread(subprocess.check_output, command)

    assert printed.decode().strip() == made.version
    held.release()
    environments.close()


async def test_a_batch_worker_predicts_in_the_versions_environment(serving, api, trained, stack, tmp_path):
    made = trained[0]
    name = model_name("batch", made.version)
    await upload(api, name, made.artifact("churn"))
    stack.enter_context(started("workers.jobs", serving.settings, tmp_path / "jobs.log"))
    table = pd.DataFrame(made.answers["churn"]["rows"])

    async with api.client() as client:
        sent = await client.post(
            "/api/v1/jobs", files={"file": ("rows.csv", table.to_csv(index=False))}, data={"model": name}
        )
        job = sent.json()
        async with asyncio.timeout(WAIT_S):
            while job["status"] not in {"succeeded", "failed"}:
                await asyncio.sleep(0.1)
                job = (await client.get(f"/api/v1/jobs/{job['id']}")).json()
        assert job["status"] == "succeeded", job["error"]
        result = await client.get(f"/api/v1/jobs/{job['id']}/result")

    assert list(pd.read_csv(io.BytesIO(result.content)).prediction) == made.answers["churn"]["label"]
