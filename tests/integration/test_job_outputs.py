"""What comes out of a job, for every pair of formats, compared with scikit-learn called directly."""

import io
import json
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from shared.catalog.tables import ModelRow
from shared.jobs.job import JobStatus
from tests.fixtures.jobs import Jobs, RunJob, ServeModel
from tests.fixtures.training import saved

ROWS = 5_000


@pytest.fixture(scope="session")
def flowers() -> pd.DataFrame:
    random = np.random.default_rng(11)
    columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    frame = pd.DataFrame(random.uniform(0.1, 8.0, (ROWS, 4)), columns=columns)
    frame.insert(0, "id", np.arange(ROWS))
    frame["note"] = [f'he said "{at}", then\nleft' if at % 7 == 0 else "plain" for at in range(ROWS)]
    return frame


def expected(model: Path, rows: pd.DataFrame) -> list[str]:
    estimator = joblib.load(model)
    return estimator.predict(rows[list(estimator.feature_names_in_)]).tolist()


def parquet_of(frame: pd.DataFrame, **options) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file, index=False, **options)
    return file.getvalue()


async def test_a_parquet_job_puts_the_predictions_beside_the_input(
    serve_model: ServeModel, jobs: Jobs, run_job: RunJob, iris_on_frame: Path, flowers: pd.DataFrame
):
    await serve_model("iris", iris_on_frame)
    job_id = await jobs.submitted(parquet_of(flowers, row_group_size=700), model="iris")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    output = pq.read_table(io.BytesIO(await jobs.result(job_id)))
    assert output["prediction"].to_pylist() == expected(iris_on_frame, flowers)
    pd.testing.assert_frame_equal(output.drop_columns("prediction").to_pandas(), flowers)
    assert (job.rows.total, job.rows.done) == (ROWS, ROWS)


async def test_a_csv_job_appends_the_predictions_to_the_very_lines_of_the_input(
    serve_model: ServeModel, jobs: Jobs, run_job: RunJob, iris_on_frame: Path, flowers: pd.DataFrame
):
    await serve_model("iris", iris_on_frame)
    text = flowers.to_csv(index=False)
    job_id = await jobs.submitted(text.encode(), model="iris")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    output = pd.read_csv(io.BytesIO(await jobs.result(job_id)))
    assert output.pop("prediction").tolist() == expected(iris_on_frame, flowers)
    assert output.to_csv(index=False) == text
    assert job.rows.total == ROWS


async def test_json_lines_keep_their_lines_and_get_the_predictions(
    serve_model: ServeModel, jobs: Jobs, run_job: RunJob, iris_on_frame: Path, flowers: pd.DataFrame
):
    await serve_model("iris", iris_on_frame)
    content = flowers.to_json(orient="records", lines=True).encode()
    job_id = await jobs.submitted(content, model="iris")

    job = await run_job(job_id)

    assert (job.status, job.input.format) == (JobStatus.SUCCEEDED, "jsonl"), job.error
    rows = [json.loads(line) for line in (await jobs.result(job_id)).splitlines()]
    assert [row.pop("prediction") for row in rows] == expected(iris_on_frame, flowers)
    assert rows == [json.loads(line) for line in content.splitlines()]
    assert job.rows.total == ROWS


@pytest.mark.parametrize("include", ["all", "none", "note,id"])
async def test_csv_becomes_parquet(
    serve_model: ServeModel,
    jobs: Jobs,
    run_job: RunJob,
    iris_on_frame: Path,
    flowers: pd.DataFrame,
    include: str,
):
    await serve_model("iris", iris_on_frame)
    job_id = await jobs.submitted(
        flowers.to_csv(index=False).encode(), model="iris", output_format="parquet", include=include
    )

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    output = pq.read_table(io.BytesIO(await jobs.result(job_id)))
    assert output["prediction"].to_pylist() == expected(iris_on_frame, flowers)
    kept = {"all": list(flowers.columns), "none": [], "note,id": ["id", "note"]}[include]
    assert output.column_names == [*kept, "prediction"]
    for name in kept:
        given = flowers[name].astype(str) if name in ("id", "note") else flowers[name]
        assert output[name].to_pylist() == given.tolist()


@pytest.mark.parametrize("include", ["all", "none", "note,id"])
async def test_parquet_becomes_csv_and_floats_read_back_the_same(
    serve_model: ServeModel,
    jobs: Jobs,
    run_job: RunJob,
    iris_on_frame: Path,
    flowers: pd.DataFrame,
    include: str,
):
    await serve_model("iris", iris_on_frame)
    job_id = await jobs.submitted(parquet_of(flowers), model="iris", output_format="csv", include=include)

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    output = pd.read_csv(io.BytesIO(await jobs.result(job_id)))
    assert output.pop("prediction").tolist() == expected(iris_on_frame, flowers)
    kept = {"all": list(flowers.columns), "none": [], "note,id": ["id", "note"]}[include]
    pd.testing.assert_frame_equal(output, flowers[kept], check_dtype=False)


async def test_a_model_on_a_table_gets_text_numbers_and_gaps_as_in_training(
    serve_model: ServeModel, jobs: Jobs, run_job: RunJob, churn_pipeline: Path, training
):
    await serve_model("churn", churn_pipeline)
    customers, _ = training.churn_rows(3_000)
    answers = joblib.load(churn_pipeline).predict(customers).tolist()

    for content in (parquet_of(customers, row_group_size=1_000), customers.to_csv(index=False).encode()):
        job_id = await jobs.submitted(content, model="churn", output_format="parquet", include="none")
        job = await run_job(job_id)

        assert job.status is JobStatus.SUCCEEDED, job.error
        output = pq.read_table(io.BytesIO(await jobs.result(job_id)))
        assert output["prediction"].to_pylist() == answers


async def test_a_model_without_names_takes_the_columns_in_their_order(
    serve_model: ServeModel, jobs: Jobs, run_job: RunJob, regressor: Path
):
    await serve_model("plane", regressor)
    X = np.random.default_rng(5).normal(size=(100, 3))
    content = parquet_of(pd.DataFrame(X, columns=["a", "b", "c"]))
    job_id = await jobs.submitted(content, model="plane")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    output = pq.read_table(io.BytesIO(await jobs.result(job_id)))
    assert output["prediction"].to_pylist() == joblib.load(regressor).predict(X).tolist()


@pytest.mark.parametrize("output_format", ["parquet", "csv"])
async def test_no_rows_make_an_output_with_the_right_columns(
    serve_model: ServeModel,
    jobs: Jobs,
    run_job: RunJob,
    iris_on_frame: Path,
    flowers: pd.DataFrame,
    output_format: str,
):
    await serve_model("iris", iris_on_frame)
    nothing = flowers.iloc[:0]
    for content in (parquet_of(nothing), nothing.to_csv(index=False).encode()):
        job_id = await jobs.submitted(content, model="iris", output_format=output_format)

        job = await run_job(job_id)

        assert (job.status, job.rows.total) == (JobStatus.SUCCEEDED, 0)
        result = io.BytesIO(await jobs.result(job_id))
        output = pq.read_table(result).to_pandas() if output_format == "parquet" else pd.read_csv(result)
        assert list(output.columns) == [*flowers.columns, "prediction"]
        assert len(output) == 0


async def test_an_input_column_named_prediction_keeps_its_name(
    serve_model: ServeModel, jobs: Jobs, run_job: RunJob, iris_on_frame: Path, flowers: pd.DataFrame
):
    await serve_model("iris", iris_on_frame)
    content = flowers.assign(prediction=1.5).to_csv(index=False).encode()
    job_id = await jobs.submitted(content, model="iris")

    await run_job(job_id)

    output = pd.read_csv(io.BytesIO(await jobs.result(job_id)))
    assert set(output["prediction"]) == {1.5}
    assert output["prediction_"].tolist() == expected(iris_on_frame, flowers)


async def test_storage_keeps_the_input_and_the_result_and_nothing_else(
    serve_model: ServeModel, jobs: Jobs, run_job: RunJob, iris_on_frame: Path, flowers: pd.DataFrame
):
    await serve_model("iris", iris_on_frame)
    job_id = await jobs.submitted(parquet_of(flowers), model="iris")

    await run_job(job_id)

    row = await jobs.row(job_id)
    assert jobs.stored(job_id) == {row.input_key, row.result_key}
    assert row.swept_at is not None


async def test_nested_and_exotic_columns_come_through_untouched(
    serve_model: ServeModel, jobs: Jobs, run_job: RunJob, iris_on_frame: Path, flowers: pd.DataFrame
):
    await serve_model("iris", iris_on_frame)
    table = pa.Table.from_pandas(flowers, preserve_index=False)
    exotic = {
        "tags": pa.array([["a", None], None, []] * (ROWS // 3) + [["z"]] * (ROWS % 3)),
        "place": pa.array([{"x": at, "y": {"z": str(at)}} for at in range(ROWS)]),
        "when": pa.array(range(ROWS), pa.timestamp("us", "Europe/Paris")),
        "color": pa.array(["red", "blue"] * (ROWS // 2)).dictionary_encode(),
        "price": pa.array(range(ROWS), pa.decimal128(12, 2)),
        "raw": pa.array([bytes([at % 256]) for at in range(ROWS)]),
    }
    for name, column in exotic.items():
        table = table.append_column(name, column)
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=999, compression="zstd", write_page_index=True)
    job_id = await jobs.submitted(file.getvalue(), model="iris")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    output = pq.read_table(io.BytesIO(await jobs.result(job_id)))
    assert output.drop_columns("prediction").equals(table)
    assert output["prediction"].to_pylist() == expected(iris_on_frame, flowers)


async def test_a_job_of_a_transformer_writes_a_column_for_each_number(
    serve_model: ServeModel, jobs: Jobs, run_job: RunJob, flowers: pd.DataFrame, tmp_path: Path
):
    rows = flowers.drop(columns=["id", "note"])
    model = make_pipeline(StandardScaler(), PCA(2)).fit(rows)
    await serve_model("plane", saved(model, tmp_path / "plane.joblib"))
    job_id = await jobs.submitted(parquet_of(flowers), model="plane", include="id")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    output = pq.read_table(io.BytesIO(await jobs.result(job_id)))
    assert output.column_names == ["id", "prediction_0", "prediction_1"]
    written = output.select(["prediction_0", "prediction_1"]).to_pandas().to_numpy()
    np.testing.assert_allclose(written, model.transform(rows), rtol=1e-9, atol=1e-12)


async def test_a_model_that_refuses_extra_columns_fails_a_job_and_names_them(
    serve_model: ServeModel,
    jobs: Jobs,
    run_job: RunJob,
    iris_on_frame: Path,
    *,
    flowers: pd.DataFrame,
    database,
):
    version = await serve_model("iris", iris_on_frame)
    async with database.transaction() as session:
        (await session.get_one(ModelRow, version.model_id)).settings = {"extra_columns": "refuse"}
    job_id = await jobs.submitted(parquet_of(flowers), model="iris")

    job = await run_job(job_id)

    assert (job.status, job.error.code) == (JobStatus.FAILED, "columns_do_not_fit")
    assert "the model is set to refuse columns that it does not take: 'id'" in job.error.message
