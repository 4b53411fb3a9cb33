"""Jobs that skip rows: what cannot be predicted is left out, and told row by row."""

import io
import json
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from shared.catalog.tables import VersionRow
from shared.jobs.errors import NoResult, ResultNotReady
from shared.jobs.job import ErrorsFormat, JobStatus
from shared.jobs.view import Rows
from tests.fixtures.jobs import Jobs, RunJob, ServeModel
from tests.fixtures.touchy import CRASHES, HANGS, RAISES, saved
from workers.jobs.context import JobContext
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk


@pytest.fixture(autouse=True)
async def touchy(serve_model: ServeModel, tmp_path: Path) -> VersionRow:
    return await serve_model("touchy", saved(tmp_path / "touchy.pkl"))


def rows_of(count: int, **bad: list[int]) -> pd.DataFrame:
    """Rows with an id; of `bad` ones the first number is what the model does not take."""
    rows = pd.DataFrame({"id": np.arange(count), "x0": np.arange(count, dtype=float), "x1": 0.5})
    for deed, at in bad.items():
        rows.loc[at, "x0"] = {"raises": RAISES, "crashes": CRASHES, "hangs": HANGS}[deed]
    return rows


def parquet_of(table: pd.DataFrame | pa.Table, **options) -> bytes:
    file = io.BytesIO()
    if isinstance(table, pd.DataFrame):
        table = pa.Table.from_pandas(table, preserve_index=False)
    pq.write_table(table, file, **options)
    return file.getvalue()


def encoded(rows: pd.DataFrame, format_: str) -> bytes:
    if format_ == "csv":
        return rows.to_csv(index=False).encode()
    return parquet_of(rows, row_group_size=max(1, len(rows) // 3))


def output_of(content: bytes, format_: str) -> pd.DataFrame:
    file = io.BytesIO(content)
    return pd.read_csv(file) if format_ == "csv" else pq.read_table(file).to_pandas()


async def told(jobs: Jobs, job_id) -> list[dict]:
    lines = (await jobs.errors(job_id, ErrorsFormat.JSONL)).splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("output_format", ["parquet", "csv"])
@pytest.mark.parametrize("input_format", ["parquet", "csv"])
async def test_rows_that_the_model_refuses_are_left_out_and_told(
    jobs: Jobs, run_job: RunJob, input_format: str, output_format: str
):
    bad = [0, 1, 777, 20_000, 39_999]
    content = encoded(rows_of(40_000, raises=bad), input_format)
    job_id = await jobs.submitted(content, model="touchy", on_error="skip", output_format=output_format)

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert job.rows == Rows(total=40_000, done=39_995, failed=5)
    output = output_of(await jobs.result(job_id), output_format)
    left = np.setdiff1d(np.arange(40_000), bad)
    assert list(output.columns) == ["id", "x0", "x1", "prediction"]
    assert output["id"].astype(int).tolist() == left.tolist()
    assert output["prediction"].tolist() == (left * 2.0).tolist()
    assert await told(jobs, job_id) == [
        {
            "row": row,
            "column": None,
            "code": "model_failed",
            "message": "ValueError: such a number I do not take",
        }
        for row in bad
    ]


async def test_values_that_do_not_fit_are_told_beside_rows_that_the_model_refuses(
    jobs: Jobs, run_job: RunJob
):
    lines = rows_of(200_000, raises=[5, 150_000]).assign(pad="x" * 30).to_csv(index=False).splitlines()
    lines[1 + 7] = "7,wide,0.5,x"
    lines[1 + 8] = "8,1.0"
    lines[1 + 150_001] = "150001,1.0,2.0,3.0,4.0"
    lines[1 + 199_999] = "199999,1.0,deep,x"
    job_id = await jobs.submitted("\n".join(lines).encode(), model="touchy", on_error="skip")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert len(await jobs.chunks(job_id)) > 1
    assert job.rows == Rows(total=200_000, done=199_994, failed=6)
    assert [(each["row"], each["column"], each["code"]) for each in await told(jobs, job_id)] == [
        (5, None, "model_failed"),
        (7, "x0", "unreadable_input"),
        (8, None, "unreadable_input"),
        (150_000, None, "model_failed"),
        (150_001, None, "unreadable_input"),
        (199_999, "x1", "unreadable_input"),
    ]
    messages = [each["message"] for each in await told(jobs, job_id)]
    assert messages[1] == "'wide' is not a number"
    assert "2 fields where the header has 4" in messages[2]
    output = output_of(await jobs.result(job_id), "csv")
    assert (
        output["id"].tolist()
        == np.setdiff1d(np.arange(200_000), [5, 7, 8, 150_000, 150_001, 199_999]).tolist()
    )


async def test_records_that_are_no_text_are_left_out(jobs: Jobs, run_job: RunJob):
    content = b'id,x0,x1\n0,1,1\n1,\xff\xfe,2\n2,3,3\n"a\nb",4,4\n'
    job_id = await jobs.submitted(content, model="touchy", on_error="skip")

    job = await run_job(job_id)

    assert job.rows == Rows(total=4, done=3, failed=1)
    assert [each["row"] for each in await told(jobs, job_id)] == [1]
    output = output_of(await jobs.result(job_id), "csv")
    assert output["prediction"].tolist() == [2.0, 6.0, 8.0]


@pytest.mark.parametrize("format_", ["parquet", "csv"])
async def test_a_row_that_crashes_the_model_is_the_only_one_left_out(
    jobs: Jobs, run_job: RunJob, format_: str
):
    content = encoded(rows_of(40_000, crashes=[31_777]), format_)
    job_id = await jobs.submitted(content, model="touchy", on_error="skip", include="id")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert job.rows == Rows(total=40_000, done=39_999, failed=1)
    (error,) = await told(jobs, job_id)
    assert (error["row"], error["code"]) == (31_777, "model_crashed")
    assert "SIGSEGV" in error["message"]
    output = output_of(await jobs.result(job_id), format_)
    assert output["id"].tolist() == [row for row in range(40_000) if row != 31_777]
    assert max(chunk.attempts for chunk in await jobs.chunks(job_id)) == 1


async def test_a_row_that_hangs_the_model_is_the_only_one_left_out(jobs: Jobs, job_context: JobContext):
    settings = msgspec.structs.replace(job_context.settings, job_call_timeout_s=4.0)
    context = msgspec.structs.replace(job_context, settings=settings)
    content = encoded(rows_of(64, hangs=[9], raises=[10]), "csv")
    job_id = await jobs.submitted(content, model="touchy", on_error="skip")
    await plan_job(context, job_id)

    await run_chunk(context, job_id, 0)

    (chunk,) = await jobs.chunks(job_id)
    assert (chunk.status, chunk.rows_done, chunk.rows_failed) == ("done", 62, 2)


async def test_too_many_rows_that_crash_the_model_fail_the_job(
    jobs: Jobs, run_job: RunJob, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workers.jobs.predicting.MAX_LOST_HOSTS", 5)
    content = encoded(rows_of(64, crashes=list(range(20, 64))), "csv")

    job = await run_job(await jobs.submitted(content, model="touchy", on_error="skip"))

    assert (job.status, job.error.code) == (JobStatus.FAILED, "model_crashed")
    assert "too many rows of the chunk do that" in job.error.message
    assert job.error.row in range(16, 64)


@pytest.mark.parametrize("format_", ["parquet", "csv"])
async def test_a_job_that_does_not_skip_says_which_row_crashes_the_model(
    jobs: Jobs, job_context: JobContext, format_: str
):
    content = encoded(rows_of(200_000, crashes=[190_001]).assign(pad="x" * 30), format_)
    job_id = await jobs.submitted(content, model="touchy")
    await plan_job(job_context, job_id)
    last = (await jobs.chunks(job_id))[-1].index

    for _ in range(job_context.settings.chunk_attempts):
        await run_chunk(job_context, job_id, last)

    job = await jobs.get(job_id)
    assert (job.status, job.error.code) == (JobStatus.FAILED, "model_crashed")
    assert (job.error.chunk, job.error.row) == (last, 190_001)
    assert job.error.message.startswith("row 190001: the model's process crashed (SIGSEGV)")


@pytest.mark.parametrize("format_", ["parquet", "csv"])
async def test_a_job_of_bad_rows_alone_has_an_output_without_rows(jobs: Jobs, run_job: RunJob, format_: str):
    rows = pd.DataFrame({"id": range(50), "x0": [RAISES] * 50, "x1": 0.0})
    content = encoded(rows, format_)
    if format_ == "csv":
        content = content.replace(b"-1.0", b"wide", 20)
    job_id = await jobs.submitted(content, model="touchy", on_error="skip")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert job.rows == Rows(total=50, done=0, failed=50)
    output = output_of(await jobs.result(job_id), format_)
    assert (list(output.columns), len(output)) == (["id", "x0", "x1", "prediction"], 0)


async def test_the_errors_are_alike_in_every_format(jobs: Jobs, run_job: RunJob):
    job_id = await jobs.submitted(
        encoded(rows_of(1_000, raises=[3, 999]), "parquet"), model="touchy", on_error="skip"
    )
    await run_job(job_id)

    lines = await told(jobs, job_id)
    csv = pacsv.read_csv(io.BytesIO(await jobs.errors(job_id, ErrorsFormat.CSV))).to_pylist()
    table = pq.read_table(io.BytesIO(await jobs.errors(job_id, ErrorsFormat.PARQUET)))

    assert [each["row"] for each in lines] == [3, 999]
    assert table.to_pylist() == lines
    assert [each | {"column": None} for each in csv] == lines


async def test_a_job_without_bad_rows_has_files_of_no_errors(jobs: Jobs, run_job: RunJob):
    job_id = await jobs.submitted(encoded(rows_of(10), "csv"), model="touchy", on_error="skip")
    await run_job(job_id)

    assert await jobs.errors(job_id, ErrorsFormat.JSONL) == b""
    assert await jobs.errors(job_id, ErrorsFormat.CSV) == b"row,column,code,message\n"
    table = pq.read_table(io.BytesIO(await jobs.errors(job_id, ErrorsFormat.PARQUET)))
    assert (table.num_rows, table.column_names) == (0, ["row", "column", "code", "message"])


async def test_a_job_that_does_not_skip_has_no_errors_file_and_says_why(jobs: Jobs, run_job: RunJob):
    job_id = await jobs.submitted(encoded(rows_of(10), "csv"), model="touchy")
    with pytest.raises(ResultNotReady):
        await jobs.errors(job_id, ErrorsFormat.JSONL)
    await run_job(job_id)

    with pytest.raises(NoResult, match="does not skip rows"):
        await jobs.errors(job_id, ErrorsFormat.JSONL)


async def test_storage_keeps_input_result_and_errors_and_nothing_else(jobs: Jobs, run_job: RunJob):
    job_id = await jobs.submitted(
        encoded(rows_of(1_000, raises=[3]), "parquet"), model="touchy", on_error="skip"
    )

    await run_job(job_id)

    row = await jobs.row(job_id)
    errors = {file["key"] for file in row.errors_files.values()}
    assert len(errors) == 3
    assert jobs.stored(job_id) == {row.input_key, row.result_key} | errors


async def test_nested_and_exotic_columns_come_through_beside_skipped_rows(jobs: Jobs, run_job: RunJob):
    count = 3_000
    table = pa.Table.from_pandas(rows_of(count, raises=[100, 2_500]), preserve_index=False)
    exotic = {
        "tags": pa.array([["a", None], None, []] * (count // 3)),
        "place": pa.array([{"x": at, "y": {"z": str(at)}} for at in range(count)]),
        "when": pa.array(range(count), pa.timestamp("us", "Europe/Paris")),
        "color": pa.array(["red", "blue"] * (count // 2)).dictionary_encode(),
        "price": pa.array(range(count), pa.decimal128(12, 2)),
        "raw": pa.array([bytes([at % 256]) for at in range(count)]),
    }
    for name, column in exotic.items():
        table = table.append_column(name, column)
    job_id = await jobs.submitted(parquet_of(table, row_group_size=999), model="touchy", on_error="skip")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    output = pq.read_table(io.BytesIO(await jobs.result(job_id))).drop_columns("prediction")
    left = table.take(np.setdiff1d(np.arange(count), [100, 2_500]))
    assert output.to_pylist() == left.to_pylist()
    assert output.schema.remove_metadata().types == left.schema.remove_metadata().types
