"""Jobs of several files: one result, as if they had been one file."""

import gzip
import io
import json
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from shared.catalog.tables import VersionRow
from shared.errors import TooLarge, UnsupportedFormat
from shared.jobs.job import ErrorsFormat, JobStatus
from shared.jobs.view import Rows
from shared.settings import Settings
from tests.fixtures.jobs import Jobs, RunJob, ServeModel
from tests.fixtures.touchy import RAISES, saved
from workers.jobs.context import JobContext
from workers.jobs.plan import plan_job

COUNTS = (300, 0, 1, 700)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, job_max_files=30)


@pytest.fixture
async def touchy(serve_model: ServeModel, tmp_path: Path) -> VersionRow:
    """Answers twice `x0`."""
    return await serve_model("touchy", saved(tmp_path / "touchy.pkl"))


def frames(counts: tuple[int, ...] = COUNTS) -> list[pd.DataFrame]:
    """Files of so many rows; `id` counts over all of them."""
    random, first, made = np.random.default_rng(3), 0, []
    for count in counts:
        ids = np.arange(first, first + count)
        numbers = random.normal(size=(count, 2))
        made.append(pd.DataFrame({"id": ids, "x0": numbers[:, 0], "x1": numbers[:, 1]}))
        first += count
    return made


def expected(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """What pandas makes of all of them."""
    return pd.concat(parts, ignore_index=True).assign(prediction=lambda rows: rows["x0"] * 2)


def parquet_of(table: pd.DataFrame | pa.Table, **options) -> bytes:
    file = io.BytesIO()
    if isinstance(table, pd.DataFrame):
        table.to_parquet(file, **options)
    else:
        pq.write_table(table, file, **options)
    return file.getvalue()


def named(contents: list[bytes], ending: str = "parquet") -> dict[str, bytes]:
    return {f"day-{at}/part.{ending}": content for at, content in enumerate(contents)}


def read_parquet(content: bytes) -> pd.DataFrame:
    return pq.read_table(io.BytesIO(content)).to_pandas()


@pytest.mark.usefixtures("touchy")
@pytest.mark.parametrize("on_error", ["fail", "skip"])
async def test_parquet_files_of_many_makes_are_predicted_as_one(jobs: Jobs, run_job: RunJob, on_error: str):
    parts = frames()
    contents = [
        parquet_of(parts[0], index=False, row_group_size=7),
        parquet_of(parts[1]),
        parquet_of(parts[2][["x1", "id", "x0"]], compression="gzip"),
        parquet_of(
            pa.Table.from_pandas(parts[3]).replace_schema_metadata({"by": "arrow"}), row_group_size=300
        ),
    ]
    job_id = await jobs.submitted_files(named(contents), model="touchy", on_error=on_error)

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert (job.input.files, job.input.size_bytes) == (4, sum(map(len, contents)))
    assert job.rows == Rows(total=1001, done=1001)
    pd.testing.assert_frame_equal(read_parquet(await jobs.result(job_id)), expected(parts))
    assert jobs.stored(job_id) >= {f"jobs/{job_id}/input", f"jobs/{job_id}/input.3"}
    assert not any("parts" in key for key in jobs.stored(job_id))


@pytest.mark.usefixtures("touchy")
async def test_a_column_is_as_wide_in_the_result_as_in_any_file(jobs: Jobs, run_job: RunJob):
    kinds = pa.array(["a", "b"]).dictionary_encode()
    tables = [
        pa.table({"id": pa.array([1, 2], pa.int32()), "x0": [1.0, 2.0], "x1": [0.0, 0.0], "kind": kinds}),
        pa.table({"id": pa.array([2**40], pa.int64()), "x0": [3], "x1": [0.0], "kind": ["c"]}),
        pa.table({"id": pa.nulls(1), "x0": pa.array([4], pa.float32()), "x1": [0.0], "kind": ["d"]}),
    ]
    job_id = await jobs.submitted_files(named([parquet_of(table) for table in tables]), model="touchy")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    result = pq.read_table(io.BytesIO(await jobs.result(job_id)))
    assert result.to_pydict() == {
        "id": [1, 2, 2**40, None],
        "x0": [1.0, 2.0, 3.0, 4.0],
        "x1": [0.0] * 4,
        "kind": ["a", "b", "c", "d"],
        "prediction": [2.0, 4.0, 6.0, 8.0],
    }
    assert result.schema.field("id").type == pa.int64()


@pytest.mark.usefixtures("touchy")
@pytest.mark.parametrize("output_format", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("input_format", ["csv", "jsonl", "arrow"])
async def test_files_of_other_formats_are_predicted_as_one(
    jobs: Jobs, run_job: RunJob, input_format: str, output_format: str
):
    parts = frames((30, 5, 40))
    turned = [parts[0], parts[1][["x1", "id", "x0"]], parts[2]]
    if input_format == "csv":
        contents = [part.to_csv(index=False).encode() for part in turned]
        contents[2] = gzip.compress(contents[2])
    elif input_format == "jsonl":
        contents = [
            part.to_json(orient="records", lines=True, double_precision=15).encode() for part in turned
        ]
        contents[0] = gzip.compress(contents[0])
    else:
        contents = [_arrow_of(part) for part in turned]
    files = named(contents[:2], input_format) | {"empty": gzip.compress(b"")} | {"last": contents[2]}
    if input_format == "arrow":
        del files["empty"]
    job_id = await jobs.submitted_files(files, model="touchy", output_format=output_format)

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    content = await jobs.result(job_id)
    output = {
        "parquet": read_parquet,
        "csv": lambda data: pd.read_csv(io.BytesIO(data)),
        "jsonl": lambda data: pd.DataFrame(map(json.loads, data.splitlines())),
    }[output_format](content)
    output = output.astype({"id": "int64"})[["id", "x0", "x1", "prediction"]]
    pd.testing.assert_frame_equal(output, expected(parts))


def _arrow_of(rows: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    feather.write_feather(rows, file)
    return file.getvalue()


GOOD = parquet_of(frames((5,))[0])


@pytest.mark.usefixtures("touchy")
@pytest.mark.parametrize(
    ("second", "code", "column", "told"),
    [
        (frames((5,))[0].drop(columns="x1"), "columns_do_not_fit", None, "by their order"),
        (frames((5,))[0].drop(columns="id"), "columns_do_not_fit", "id", "lacks 'id', which 'good' has"),
        (frames((5,))[0].assign(more=1), "columns_do_not_fit", "more", "has 'more', which 'good' lacks"),
        (frames((5,))[0].assign(id="text"), "columns_do_not_fit", "id", "and int64 in the files before"),
        (frames((5,))[0].assign(x0=[[1]] * 5), "columns_do_not_fit", "x0", "'x0'"),
        (GOOD[:-20], "unreadable_input", None, "the Parquet file is damaged"),
    ],
)
async def test_a_file_that_does_not_fit_fails_the_job_by_its_name_before_any_prediction(
    jobs: Jobs, run_job: RunJob, second: pd.DataFrame | bytes, code: str, column: str | None, told: str
):
    content = second if isinstance(second, bytes) else parquet_of(second)
    job_id = await jobs.submitted_files({"good": GOOD, "bad": content, "other": GOOD}, model="touchy")

    job = await run_job(job_id)

    assert job.status is JobStatus.FAILED
    assert (job.error.code, job.error.column, job.error.row) == (code, column, None)
    assert job.error.message.startswith("in 'bad': ")
    assert told in job.error.message
    assert await jobs.chunks(job_id) == []


async def test_a_file_that_lacks_a_column_of_the_model_fails_the_job_by_its_name(
    jobs: Jobs, run_job: RunJob, serve_model: ServeModel, iris_on_frame: Path
):
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    rows = pd.DataFrame(np.ones((3, 4)), columns=names)
    await serve_model("iris", iris_on_frame)
    lacking = parquet_of(rows.drop(columns="petal_width"))
    job_id = await jobs.submitted_files({"a": parquet_of(rows), "b": lacking}, model="iris", include="none")

    job = await run_job(job_id)

    assert (job.error.code, job.error.column) == ("columns_do_not_fit", "petal_width")
    assert job.error.message.startswith("in 'b': the file lacks 'petal_width', which the model takes")


@pytest.mark.usefixtures("touchy")
async def test_columns_without_names_to_the_model_must_have_one_order(jobs: Jobs, run_job: RunJob):
    rows = pd.DataFrame({"a": [1.0], "b": [2.0]})
    files = named([parquet_of(rows), parquet_of(rows[["b", "a"]])])
    job_id = await jobs.submitted_files(files, model="touchy")

    job = await run_job(job_id)

    assert job.status is JobStatus.FAILED
    assert "'b', 'a' here and 'a', 'b' in the files before" in job.error.message


@pytest.mark.usefixtures("touchy")
async def test_columns_that_are_not_carried_may_differ_between_files(jobs: Jobs, run_job: RunJob):
    parts = frames((5, 6))
    contents = [parquet_of(parts[0].assign(more="a")), parquet_of(parts[1].drop(columns="id"))]
    job_id = await jobs.submitted_files(named(contents), model="touchy", include="x0")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    output = read_parquet(await jobs.result(job_id))
    pd.testing.assert_frame_equal(output, expected(parts)[["x0", "prediction"]])


@pytest.mark.usefixtures("touchy")
@pytest.mark.parametrize("format_", ["parquet", "csv", "jsonl"])
async def test_a_bad_row_is_told_by_its_number_in_all_and_in_its_file(
    jobs: Jobs, run_job: RunJob, format_: str
):
    parts = frames((10, 20, 30))
    parts[2].loc[4, "x0"] = RAISES
    contents = [encoded(part, format_) for part in parts]
    job_id = await jobs.submitted_files(
        {"a": contents[0], "b": contents[1], "c": contents[2]}, model="touchy"
    )

    job = await run_job(job_id)

    assert job.status is JobStatus.FAILED
    assert (job.error.code, job.error.row) == ("model_failed", 34)
    assert job.error.message.startswith("row 34: in 'c' (its row 4): ValueError")


def encoded(rows: pd.DataFrame, format_: str) -> bytes:
    if format_ == "csv":
        return rows.to_csv(index=False).encode()
    if format_ == "jsonl":
        return rows.to_json(orient="records", lines=True).encode()
    return parquet_of(rows, row_group_size=3)


@pytest.mark.usefixtures("touchy")
async def test_rows_left_out_are_numbered_over_all_files_and_told_by_file(jobs: Jobs, run_job: RunJob):
    parts = frames((10, 20, 30))
    parts[0].loc[9, "x0"] = parts[2].loc[[0, 29], "x0"] = RAISES
    lines = parts[1].to_csv(index=False).replace(f"\n{12},", "\nextra,12,").encode()
    files = {"a": encoded(parts[0], "csv"), "b": lines, "c": encoded(parts[2], "csv")}
    job_id = await jobs.submitted_files(files, model="touchy", on_error="skip")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert job.rows == Rows(total=60, done=56, failed=4)
    told = [json.loads(line) for line in (await jobs.errors(job_id, ErrorsFormat.JSONL)).splitlines()]
    assert [(each["row"], each["file"], each["file_row"]) for each in told] == [
        (9, "a", 9),
        (12, "b", 2),
        (30, "c", 0),
        (59, "c", 29),
    ]
    for kind, read in ((ErrorsFormat.CSV, pd.read_csv), (ErrorsFormat.PARQUET, pd.read_parquet)):
        table = read(io.BytesIO(await jobs.errors(job_id, kind)))
        assert table["file"].tolist() == ["a", "b", "c", "c"]
    left = pd.read_csv(io.BytesIO(await jobs.result(job_id)))
    assert sorted({*range(60)} - set(left["id"])) == [9, 12, 30, 59]


@pytest.mark.usefixtures("touchy")
async def test_csv_files_with_other_delimiters_are_refused_by_name(jobs: Jobs, run_job: RunJob):
    rows = frames((5,))[0]
    files = {"a.csv": rows.to_csv(index=False).encode(), "b.csv": rows.to_csv(index=False, sep=";").encode()}
    job_id = await jobs.submitted_files(files, model="touchy")

    job = await run_job(job_id)

    assert job.error.message.startswith("in 'b.csv': the delimiter is ';', and ',' in the files before")


@pytest.mark.usefixtures("touchy")
async def test_files_of_several_formats_and_too_many_files_are_refused(jobs: Jobs, settings: Settings):
    csv = frames((5,))[0].to_csv(index=False).encode()

    with pytest.raises(UnsupportedFormat, match=r"'a' is parquet and 'b.csv' is csv"):
        await jobs.submitted_files({"a": GOOD, "b.csv": csv}, model="touchy")
    with pytest.raises(TooLarge, match="30 files at most"):
        await jobs.submitted_files(
            dict.fromkeys(map(str, range(settings.job_max_files + 1)), b"x"), model="touchy"
        )


@pytest.mark.usefixtures("touchy")
async def test_many_files_are_looked_at_side_by_side_and_told_in_their_order(
    jobs: Jobs, run_job: RunJob, job_context: JobContext
):
    contents = named([parquet_of(part) for part in frames((2,) * 20)])
    broken = contents | {"bad": GOOD[:-20], "worse": GOOD[:9]}
    good_id = await jobs.submitted_files(contents, model="touchy")
    bad_id = await jobs.submitted_files(broken, model="touchy")

    await plan_job(job_context, good_id)
    bad = await run_job(bad_id)

    chunks = await jobs.chunks(good_id)
    assert [(chunk.file, chunk.rows_total) for chunk in chunks] == [(at, 2) for at in range(20)]
    assert bad.error.message.startswith("in 'bad': ")
