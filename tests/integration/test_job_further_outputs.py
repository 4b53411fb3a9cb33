"""What a job writes beside the prediction, compared with scikit-learn called directly."""

import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from httpx import AsyncClient
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from xgboost import XGBClassifier

from shared.errors import InvalidInput
from shared.jobs.job import JobStatus
from tests.fixtures.api import Account, Upload
from tests.fixtures.jobs import Jobs, RunJob, ServeModel
from tests.fixtures.training import saved

ROWS = 300
FEATURES = ["a", "b", "c"]
FRAME = pd.DataFrame(np.random.default_rng(3).normal(size=(ROWS, 3)), columns=FEATURES)
SPECIES = np.array(["setosa", 'Iris "blue", wild', "virginica"])
THREE = np.arange(ROWS) % 3

Predicted = Callable[..., Awaitable[pd.DataFrame]]


def written(content: bytes, file_format: str) -> pd.DataFrame:
    """As readers of other makers see it."""
    if file_format == "parquet":
        return pq.read_table(io.BytesIO(content)).to_pandas()
    if file_format == "csv":
        return pd.read_csv(io.BytesIO(content))
    return pd.DataFrame([json.loads(line) for line in content.splitlines()])


def sent(frame: pd.DataFrame, file_format: str, *, row_group_size: int = 128) -> bytes:
    file = io.BytesIO()
    if file_format == "parquet":
        frame.to_parquet(file, index=False, row_group_size=row_group_size)
    elif file_format == "csv":
        frame.to_csv(file, index=False)
    else:
        frame.to_json(file, orient="records", lines=True, double_precision=15)
    return file.getvalue()


@pytest.fixture
def predicted(serve_model: ServeModel, jobs: Jobs, run_job: RunJob, tmp_path: Path) -> Predicted:
    """What a job of that model makes of the rows."""

    async def predicted(
        model: Any, outputs: str, frame: pd.DataFrame = FRAME, *, given: str = "parquet", **form: Any
    ) -> pd.DataFrame:
        await serve_model("m", saved(model, tmp_path / "m.joblib"))
        form = {"include": "none"} | form
        job_id = await jobs.submitted(sent(frame, given), model="m", outputs=outputs, **form)
        job = await run_job(job_id)
        assert job.status is JobStatus.SUCCEEDED, job.error
        return written(await jobs.result(job_id), form.get("output_format", given))

    return predicted


@pytest.mark.parametrize("wanted", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("given", ["parquet", "csv", "jsonl"])
async def test_every_format_has_a_column_for_each_class(predicted: Predicted, given: str, wanted: str):
    model = GaussianNB().fit(FRAME, SPECIES[THREE])

    output = await predicted(model, "probabilities", given=given, output_format=wanted, include="all")

    names = [f"probability_{name}" for name in sorted(SPECIES)]
    rows = written(sent(FRAME, given), given)
    assert list(output.columns) == [*FEATURES, "prediction", *names]
    assert output["prediction"].tolist() == model.predict(rows).tolist()
    np.testing.assert_array_equal(output[names].to_numpy(), model.predict_proba(rows))


async def test_all_outputs_come_in_the_order_of_the_signature(predicted: Predicted):
    model = LogisticRegression().fit(FRAME, THREE)

    output = await predicted(model, "all")

    kinds = [f"{kind}_{name}" for kind in ("probability", "score") for name in (0, 1, 2)]
    assert list(output.columns) == ["prediction", *kinds]
    np.testing.assert_allclose(output[kinds[:3]], model.predict_proba(FRAME), rtol=1e-12)
    np.testing.assert_allclose(output[kinds[3:]], model.decision_function(FRAME), rtol=1e-12)


async def test_two_classes_have_one_score(predicted: Predicted):
    is_large = FRAME["a"] > 0
    model = LogisticRegression().fit(FRAME, is_large)

    output = await predicted(model, "scores, label, probabilities")

    assert list(output.columns) == ["prediction", "score", "probability_False", "probability_True"]
    assert output["prediction"].tolist() == model.predict(FRAME).tolist()
    np.testing.assert_allclose(output["score"], model.decision_function(FRAME), rtol=1e-12)
    np.testing.assert_allclose(output["probability_True"], model.predict_proba(FRAME)[:, 1], rtol=1e-12)


async def test_scores_of_pairs_are_not_taken_for_those_of_classes(predicted: Predicted):
    svc = SVC(decision_function_shape="ovo").fit(FRAME, THREE)
    model = GridSearchCV(make_pipeline(svc), {}, cv=2).fit(FRAME, THREE)

    output = await predicted(model, "scores")

    assert list(output.columns) == ["prediction", "score_0_vs_1", "score_0_vs_2", "score_1_vs_2"]
    np.testing.assert_allclose(output.iloc[:, 1:], model.decision_function(FRAME), rtol=1e-9)


async def test_each_of_several_targets_has_its_own_probabilities(predicted: Predicted):
    targets = np.column_stack([SPECIES[THREE], np.where(FRAME["a"] > 0, "up", "down")])
    model = RandomForestClassifier(3, max_depth=3, random_state=0).fit(FRAME, targets)

    output = await predicted(model, "all")

    first = [f"probability_0_{name}" for name in sorted(SPECIES)]
    second = ["probability_1_down", "probability_1_up"]
    assert list(output.columns) == ["prediction_0", "prediction_1", *first, *second]
    assert output[["prediction_0", "prediction_1"]].to_numpy().tolist() == model.predict(FRAME).tolist()
    np.testing.assert_allclose(output[first], model.predict_proba(FRAME)[0], rtol=1e-12)
    np.testing.assert_allclose(output[second], model.predict_proba(FRAME)[1], rtol=1e-12)


async def test_distances_to_clusters_stand_beside_the_cluster(predicted: Predicted):
    model = KMeans(2, n_init=1, random_state=0).fit(FRAME)

    output = await predicted(model, "transformed")

    assert list(output.columns) == ["prediction", "transformed_0", "transformed_1"]
    np.testing.assert_allclose(output[["transformed_0", "transformed_1"]], model.transform(FRAME), rtol=1e-9)


async def test_a_model_of_single_precision_gives_its_very_numbers(predicted: Predicted):
    model = XGBClassifier(n_estimators=3, max_depth=2, n_jobs=1).fit(FRAME, THREE)

    output = await predicted(model, "probabilities")

    probabilities = output[[f"probability_{name}" for name in range(3)]].to_numpy()
    np.testing.assert_array_equal(probabilities, model.predict_proba(FRAME).astype(np.float64))


@pytest.mark.parametrize("wanted", ["parquet", "csv", "jsonl"])
async def test_names_of_the_input_are_left_alone(predicted: Predicted, wanted: str):
    frame = FRAME.assign(probability_1="theirs", probability_1_="too")
    model = GaussianNB().fit(FRAME, THREE)

    output = await predicted(model, "probabilities", frame, output_format=wanted, include="all")

    assert list(output.columns[-4:]) == ["prediction", "probability_0", "probability_1__", "probability_2"]
    assert set(output["probability_1"]) == {"theirs"}
    np.testing.assert_array_equal(output["probability_1__"], model.predict_proba(FRAME)[:, 1])


async def test_rows_that_are_left_out_take_their_probabilities_with_them(predicted: Predicted):
    frame = FRAME.copy()
    frame.loc[[0, 7, ROWS - 1], "b"] = np.nan
    model = GaussianNB().fit(FRAME, THREE)

    output = await predicted(model, "probabilities", frame, on_error="skip", include="a")

    kept = frame.dropna()
    assert output["a"].tolist() == kept["a"].tolist()
    np.testing.assert_array_equal(output.iloc[:, -3:].to_numpy(), model.predict_proba(kept))


async def test_hundreds_of_classes_make_as_many_columns(predicted: Predicted):
    centres = np.random.default_rng(4).normal(size=(300, 3))
    model = RidgeClassifier().fit(pd.DataFrame(centres, columns=FEATURES), np.arange(300))

    output = await predicted(model, "scores")

    assert list(output.columns) == ["prediction", *[f"score_{at}" for at in range(300)]]
    np.testing.assert_allclose(output.iloc[:, 1:], model.decision_function(FRAME), rtol=1e-9, atol=1e-12)


async def test_many_small_row_groups_become_larger_ones_where_columns_are_many(
    serve_model: ServeModel, jobs: Jobs, run_job: RunJob, tmp_path: Path
):
    centres = np.random.default_rng(4).normal(size=(1_000, 3))
    model = RidgeClassifier().fit(pd.DataFrame(centres, columns=FEATURES), np.arange(1_000))
    await serve_model("m", saved(model, tmp_path / "m.joblib"))
    frame = FRAME.assign(when=pd.Timestamp("2026-01-02", tz="UTC"))
    job_id = await jobs.submitted(sent(frame, "parquet", row_group_size=3), model="m", outputs="scores")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    output = pq.ParquetFile(io.BytesIO(await jobs.result(job_id)))
    assert output.metadata.num_row_groups == 1
    table = output.read(columns=[*frame.columns, "score_999"]).to_pandas()
    pd.testing.assert_frame_equal(table[frame.columns], frame)
    np.testing.assert_allclose(table["score_999"], model.decision_function(FRAME)[:, 999], rtol=1e-9)


@pytest.mark.parametrize(
    ("model", "outputs", "says"),
    [
        (LinearRegression().fit(FRAME, THREE), "probabilities", "no output 'probabilities'; it has label"),
        (PCA(2).fit(FRAME), "label", "no output 'label'; it has transformed"),
        (GaussianNB().fit(FRAME, THREE), "labels", "no output 'labels'; it has label, probabilities"),
        (GaussianNB().fit(FRAME, THREE), "label,,", "names outputs of the model, or is `all`"),
        (GaussianNB().fit(FRAME, THREE), '["label"', "is not the JSON that is wanted"),
    ],
)
async def test_outputs_that_there_are_not_are_refused(
    serve_model: ServeModel, jobs: Jobs, model: Any, outputs: str, says: str, tmp_path: Path
):
    await serve_model("m", saved(model, tmp_path / "m.joblib"))

    with pytest.raises(InvalidInput, match=says) as caught:
        await jobs.submitted(sent(FRAME, "csv"), model="m", outputs=outputs)

    assert caught.value.errors[0].pointer == "/outputs"


async def test_the_job_tells_what_it_writes(serve_model: ServeModel, jobs: Jobs, tmp_path: Path):
    await serve_model("m", saved(LogisticRegression().fit(FRAME, THREE), tmp_path / "m.joblib"))
    content = sent(FRAME, "csv")

    every, none = [await jobs.submitted(content, model="m", outputs=asked) for asked in ("all", "label")]

    assert (await jobs.get(every)).output.outputs == ["probabilities", "scores"]
    assert (await jobs.get(none)).output.outputs == []


async def test_both_doors_say_where_the_name_stands_that_there_is_not(
    client: AsyncClient, account: Account, served: Upload
):
    await served("m")
    form = {"model": "m", "outputs": "price"}
    body = {"model": "m", "input": {"rows": [[1]]}, "output": {"outputs": ["label", "price"]}}
    url, headers = "/api/v1/jobs", account.headers

    by_form = await client.post(url, files={"file": ("f.csv", b"a\n1\n")}, data=form, headers=headers)
    by_json = await client.post(url, json=body, headers=headers)

    assert [by_form.status_code, by_json.status_code] == [422, 422]
    assert by_form.json()["errors"][0]["pointer"] == "/outputs"
    assert by_json.json()["errors"][0]["pointer"] == "/output/outputs"
    assert "the model has no output 'price'; it has label" in by_json.json()["detail"]
