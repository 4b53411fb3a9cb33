"""Folders named like `year=2024`: their names say columns of the files, as for pandas and Spark."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LinearRegression

from shared.jobs.job import JobStatus
from tests.fixtures.jobs import Jobs, RunJob, ServeModel


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "size": [1.0, 2.0, 3.0, 4.0, 5.0],
            "year": [2023, 2023, 2024, 2024, 2024],
            "month": [5, 11, 5, 5, 12],
            "shop": ["a b", "a b", "7", "7", None],
        }
    )


@pytest.fixture
async def model(rows: pd.DataFrame, serve_model: ServeModel, tmp_path: Path) -> LinearRegression:
    """Takes a column of the files, and one of their folders."""
    model = LinearRegression().fit(rows[["size", "year"]], np.arange(5))
    path = tmp_path / "model.pkl"
    pd.to_pickle(model, path)
    await serve_model("shops", path)
    return model


def written(rows: pd.DataFrame, folder: Path, by: list[str]) -> dict[str, bytes]:
    """The files that pandas makes of it."""
    rows.to_parquet(folder, partition_cols=by, index=False)
    paths = sorted(folder.rglob("*.parquet"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def read_parquet(content: bytes) -> pd.DataFrame:
    return pq.read_table(io.BytesIO(content)).to_pandas()


@pytest.mark.parametrize("on_error", ["fail", "skip"])
async def test_values_of_folders_feed_the_model_and_are_carried(
    jobs: Jobs, run_job: RunJob, rows: pd.DataFrame, *, model: LinearRegression, tmp_path: Path, on_error: str
):
    files = written(rows, tmp_path / "table", ["year", "month", "shop"])
    assert any("month=5/shop=a%20b/" in name for name in files)
    job_id = await jobs.submitted_files(files, model="shops", on_error=on_error)

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    output = read_parquet(await jobs.result(job_id)).sort_values("size", ignore_index=True)
    expected = rows.assign(prediction=model.predict(rows[["size", "year"]]))
    pd.testing.assert_frame_equal(output, expected, check_dtype=False)
    assert output["month"].dtype == np.int64


@pytest.mark.usefixtures("model")
async def test_files_whose_folders_do_not_agree_are_refused_by_name(
    jobs: Jobs, run_job: RunJob, rows: pd.DataFrame, tmp_path: Path
):
    files = written(rows.drop(columns="shop"), tmp_path / "table", ["year", "month"])
    first, second, *_ = files
    strayed = {first: files[first], "year=2024/other.parquet": files[second]}
    job_id = await jobs.submitted_files(strayed, model="shops")

    job = await run_job(job_id)

    assert job.error.message.startswith("in 'year=2024/other.parquet': the file lacks 'month'")
