"""Jobs that cannot succeed: each ends at once, or after its attempts, and says why and where."""

import io
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import delete, text

from shared.catalog.tables import VersionRow
from shared.database.engine import Database
from shared.jobs.claims import claim_chunk, claim_step
from shared.jobs.job import JobStatus, RowCounts
from shared.jobs.outcomes import record_part
from tests.fixtures.jobs import Jobs, RunJob, ServeModel
from workers.jobs.context import JobContext
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


@pytest.fixture(autouse=True)
async def iris(serve_model: ServeModel, iris_on_frame: Path) -> VersionRow:
    return await serve_model("iris", iris_on_frame)


def flowers(rows: int = 1_000) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(2).uniform(0.1, 8.0, (rows, 4)), columns=COLUMNS)


def parquet_of(table: pa.Table | pd.DataFrame, **options) -> bytes:
    file = io.BytesIO()
    if isinstance(table, pd.DataFrame):
        table = pa.Table.from_pandas(table, preserve_index=False)
    pq.write_table(table, file, **options)
    return file.getvalue()


async def test_missing_columns_are_named(jobs: Jobs, run_job: RunJob):
    for content in (
        parquet_of(flowers().drop(columns=["petal_width"])),
        flowers().drop(columns=["petal_width"]).to_csv(index=False).encode(),
    ):
        job = await run_job(await jobs.submitted(content, model="iris"))

        assert (job.status, job.error.code) == (JobStatus.FAILED, "columns_do_not_fit")
        assert "lacks 'petal_width'" in job.error.message
        assert job.error.column == "petal_width"


async def test_a_column_of_a_type_that_no_number_is_made_of_is_named_with_its_type(
    jobs: Jobs, run_job: RunJob
):
    content = parquet_of(flowers().assign(sepal_width="wide"))

    job = await run_job(await jobs.submitted(content, model="iris"))

    assert job.error.code == "columns_do_not_fit"
    assert "'sepal_width' has the type large_string" in job.error.message


async def test_columns_that_csv_cannot_hold_are_named(jobs: Jobs, run_job: RunJob):
    content = parquet_of(flowers(2).assign(tags=[["a"], ["b"]]))

    job = await run_job(await jobs.submitted(content, model="iris", output_format="csv"))

    assert job.error.code == "columns_do_not_fit"
    assert "'tags'" in job.error.message


@pytest.mark.parametrize("row", [0, 1_234, 29_999])
async def test_text_in_a_column_of_numbers_is_found(jobs: Jobs, run_job: RunJob, row: int):
    lines = flowers(30_000).to_csv(index=False).splitlines()
    fields = lines[1 + row].split(",")
    lines[1 + row] = ",".join([fields[0], "wide", *fields[2:]])

    job = await run_job(await jobs.submitted("\n".join(lines).encode(), model="iris"))

    assert (job.status, job.error.code) == (JobStatus.FAILED, "unreadable_input")
    assert (job.error.row, job.error.column) == (row, "sepal_width")
    assert f"row {row}, column 'sepal_width': 'wide' is not a number" in job.error.message


@pytest.mark.parametrize("format_", ["parquet", "csv"])
@pytest.mark.parametrize("row", [0, 16_384, 52_345])
async def test_a_gap_that_the_model_refuses_is_found(jobs: Jobs, run_job: RunJob, format_: str, row: int):
    rows = flowers(60_000)
    rows.loc[row, "petal_length"] = np.nan
    csv = rows.to_csv(index=False).encode()
    content = parquet_of(rows, row_group_size=20_000) if format_ == "parquet" else csv

    job = await run_job(await jobs.submitted(content, model="iris"))

    assert (job.status, job.error.code) == (JobStatus.FAILED, "model_failed")
    assert (job.error.row, job.error.column) == (row, "petal_length")
    assert "NaN" in job.error.message


async def test_a_record_with_too_few_fields_is_found(jobs: Jobs, run_job: RunJob):
    lines = flowers(500).to_csv(index=False).splitlines()
    lines[1 + 321] = "1.0,2.0"

    job = await run_job(await jobs.submitted("\n".join(lines).encode(), model="iris"))

    assert (job.error.code, job.error.row) == ("unreadable_input", 321)
    assert "2 fields where the header has 4" in job.error.message


async def test_a_row_is_counted_from_the_start_of_the_file_in_a_later_chunk(jobs: Jobs, run_job: RunJob):
    lines = flowers(200_000).to_csv(index=False).splitlines()
    lines[1 + 190_000] = "a,b,c,d"

    job_id = await jobs.submitted("\n".join(lines).encode(), model="iris")
    job = await run_job(job_id)

    assert len(await jobs.chunks(job_id)) > 1
    assert (job.error.row, job.error.column) == (190_000, "sepal_length")


async def test_a_damaged_parquet_file_is_refused(jobs: Jobs, run_job: RunJob):
    content = bytearray(parquet_of(flowers()))
    content[4:300] = bytes([0xFF] * 296)
    cut_off = bytes(content[:-100])

    damaged = await run_job(await jobs.submitted(bytes(content), model="iris"))
    short = await run_job(await jobs.submitted(cut_off, model="iris"))

    for job in (damaged, short):
        assert (job.status, job.error.code) == (JobStatus.FAILED, "unreadable_input")
        assert "damaged" in job.error.message


async def test_a_failed_job_leaves_only_its_input(jobs: Jobs, run_job: RunJob):
    rows = flowers(60_000)
    rows.loc[59_000, "petal_length"] = np.nan
    job_id = await jobs.submitted(parquet_of(rows, row_group_size=1_000), model="iris")

    job = await run_job(job_id)

    assert job.status is JobStatus.FAILED
    assert jobs.stored(job_id) == {(await jobs.row(job_id)).input_key}


@pytest.mark.parametrize(
    ("deed", "code", "attempts"),
    [("crash", "model_crashed", 3), ("sleep", "time_limit", 3), ("leak", "model_failed", 1)],
)
async def test_a_model_that_fails_spends_its_attempts_and_its_job_says_why(
    jobs: Jobs,
    job_context: JobContext,
    serve_model: ServeModel,
    tmp_path: Path,
    *,
    deed: str,
    code: str,
    attempts: int,
):
    from tests.fixtures import misbehaving  # noqa: PLC0415  imports scikit-learn

    await serve_model("bad", misbehaving.saved(misbehaving.Misbehaving(), tmp_path / "bad.pkl"))
    settings = msgspec.structs.replace(job_context.settings, job_call_timeout_s=0.5)
    context = msgspec.structs.replace(job_context, settings=settings)
    job_id = await jobs.submitted(f"x0,x1\n{misbehaving.number_of(deed)},2\n".encode(), model="bad")
    await plan_job(context, job_id)

    for _ in range(4):
        await run_chunk(context, job_id, 0)

    job = await jobs.get(job_id)
    assert (job.status, job.error.code) == (JobStatus.FAILED, code), job.error
    assert (await jobs.chunks(job_id))[0].attempts == attempts


async def test_a_version_that_was_deleted_fails_its_job(
    jobs: Jobs, run_job: RunJob, database: Database, iris: VersionRow
):
    job_id = await jobs.submitted(parquet_of(flowers()), model="iris")
    async with database.transaction() as session:
        await session.execute(delete(VersionRow).where(VersionRow.id == iris.id))

    job = await run_job(job_id)

    assert (job.status, job.error.code) == (JobStatus.FAILED, "version_deleted")


async def test_a_worker_that_is_lost_again_and_again_fails_the_job(
    jobs: Jobs, job_context: JobContext, database: Database
):
    job_id = await jobs.submitted(parquet_of(flowers()), model="iris")
    await plan_job(job_context, job_id)
    for _ in range(job_context.settings.chunk_attempts):
        async with database.transaction() as session:
            claim = await claim_chunk(session, job_id, 0, settings=job_context.settings)
        assert claim is not None
        async with database.transaction() as session:
            await session.execute(text("UPDATE chunks SET lease_until = now() - interval '1 second'"))

    await run_chunk(job_context, job_id, 0)

    job = await jobs.get(job_id)
    assert (job.status, job.error.code) == (JobStatus.FAILED, "worker_lost")


async def test_a_file_that_ends_its_worker_while_it_is_planned_fails_the_job(
    jobs: Jobs, job_context: JobContext, database: Database
):
    settings = job_context.settings
    job_id = await jobs.submitted(parquet_of(flowers()), model="iris")
    for _ in range(settings.chunk_attempts):
        async with database.transaction() as session:
            assert await claim_step(session, job_id, JobStatus.VALIDATING, settings=settings) is not None
        async with database.transaction() as session:
            await session.execute(text("UPDATE jobs SET lease_until = now() - interval '1 second'"))

    await plan_job(job_context, job_id)

    job = await jobs.get(job_id)
    assert (job.status, job.error.code) == (JobStatus.FAILED, "worker_lost")


async def test_a_late_worker_publishes_nothing(jobs: Jobs, job_context: JobContext, database: Database):
    job_id = await jobs.submitted(parquet_of(flowers()), model="iris")
    await plan_job(job_context, job_id)
    async with database.transaction() as session:
        late = await claim_chunk(session, job_id, 0, settings=job_context.settings)
    assert late is not None
    async with database.transaction() as session:
        await session.execute(text("UPDATE chunks SET lease_until = now() - interval '1 second'"))
    await run_chunk(job_context, job_id, 0)

    async with database.transaction() as session:
        published = await record_part(session, late, rows=RowCounts(1), size_bytes=1)

    assert published is None
    (chunk,) = await jobs.chunks(job_id)
    assert (chunk.rows_done, chunk.fence) == (1_000, 2)


async def test_a_chunk_delivered_twice_counts_its_rows_once(jobs: Jobs, job_context: JobContext):
    job_id = await jobs.submitted(parquet_of(flowers()), model="iris")
    await plan_job(job_context, job_id)
    await plan_job(job_context, job_id)

    await run_chunk(job_context, job_id, 0)
    await run_chunk(job_context, job_id, 0)

    assert (await jobs.get(job_id)).rows.done == 1_000
    assert [chunk.attempts for chunk in await jobs.chunks(job_id)] == [1]
