"""Jobs of several files that end early, go on, and are removed: file by file as one file would be."""

import gzip
import io
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select

from shared.access.caller import Caller
from shared.database.engine import Database
from shared.jobs.job import ErrorsFormat, JobStatus
from shared.jobs.later_life import LaterLife
from shared.jobs.orphans import orphans_of_jobs
from shared.jobs.partial import partial_result
from shared.jobs.tables import JobFileRow
from shared.jobs.view import Rows
from shared.storage.store import Storage
from tests.fixtures.jobs import Jobs, RunJob, ServeModel
from tests.fixtures.touchy import RAISES, saved
from workers.jobs.context import JobContext
from workers.jobs.finish import finish_job
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

TABLES = [
    pd.DataFrame({"id": [10 * file + row for row in range(4)], "x0": 1.5, "x1": 0.0}) for file in range(3)
]
TABLES[1].loc[2, "x0"] = RAISES
LEFT = [0, 1, 2, 3, 10, 11, 13]  # of the first two files


@pytest.fixture(autouse=True)
async def _touchy(serve_model: ServeModel, tmp_path) -> None:
    await serve_model("touchy", saved(tmp_path / "touchy.pkl"))


def files(format_: str) -> dict[str, bytes]:
    if format_ == "parquet":
        return {f"part-{at}": _parquet(table) for at, table in enumerate(TABLES)}
    return {
        f"part-{at}": gzip.compress(table.to_csv(index=False).encode()) for at, table in enumerate(TABLES)
    }


def _parquet(table: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table), file)
    return file.getvalue()


def rows_of(content: bytes, format_: str) -> list[int]:
    read = pd.read_parquet if format_ == "parquet" else pd.read_csv
    return read(io.BytesIO(content))["id"].tolist()


async def content_of(storage: Storage, key: str) -> bytes:
    return b"".join([piece async for piece in storage.read(key)])


async def in_the_middle(jobs: Jobs, context: JobContext, format_: str):
    """A job of three files, the first two of which are predicted."""
    job_id = await jobs.submitted_files(files(format_), model="touchy", on_error="skip")
    await plan_job(context, job_id)
    for chunk in range(2):
        await run_chunk(context, job_id, chunk)
    return job_id


async def test_files_that_are_done_are_read_while_the_others_run(
    jobs: Jobs, job_context: JobContext, database: Database, *, caller: Caller, storage: Storage
):
    job_id = await in_the_middle(jobs, job_context, "csv")

    async with database.transaction() as session:
        partial = await partial_result(session, caller.tenant_id, str(job_id))

    pieces = [await content_of(storage, piece.key) for piece in partial.pieces]
    assert pieces[0] == b"id,x0,x1,prediction\n"
    assert rows_of(b"".join(pieces), "csv") == LEFT
    assert (partial.rows, partial.input_rows) == (7, 8)


@pytest.mark.parametrize("format_", ["csv", "parquet"])
async def test_what_was_finished_of_several_files_is_kept_and_the_rest_follows_in_a_retry(
    jobs: Jobs,
    run_job: RunJob,
    job_context: JobContext,
    *,
    later_life: LaterLife,
    caller: Caller,
    format_: str,
):
    job_id = await in_the_middle(jobs, job_context, format_)
    await jobs.cancel(job_id)
    await finish_job(job_context, job_id)
    row, stored = await jobs.row(job_id), jobs.stored(job_id)
    kept = await content_of(job_context.storage, row.result_key)
    errors = await content_of(job_context.storage, row.errors_files["jsonl"]["key"])

    await later_life.retry(caller.tenant_id, str(job_id))
    done = (await jobs.get(job_id)).rows.done
    job = await run_job(job_id)

    assert rows_of(kept, format_) == LEFT
    told = json.loads(errors)
    assert (told["row"], told["file"], told["file_row"]) == (6, "part-1", 2)
    texts = {key.rpartition("/")[2] for key in stored if "/text." in key}
    assert texts == ({"text.1", "text.1.1", "text.1.2"} if format_ == "csv" else set())
    assert done == len(LEFT)
    assert (job.status, job.rows) == (JobStatus.SUCCEEDED, Rows(total=12, done=11, failed=1))
    assert rows_of(await jobs.result(job_id), format_) == [*LEFT, 20, 21, 22, 23]
    assert [chunk.attempts for chunk in await jobs.chunks(job_id)] == [1, 1, 1]


async def test_a_job_that_has_succeeded_keeps_its_files_alone_and_a_deleted_one_nothing(
    jobs: Jobs,
    run_job: RunJob,
    job_context: JobContext,
    *,
    later_life: LaterLife,
    caller: Caller,
    database: Database,
):
    job_id = await jobs.submitted_files(files("csv"), model="touchy", on_error="skip")
    await run_job(job_id)
    kept = jobs.stored(job_id)
    async with database.transaction() as session:
        orphans = await orphans_of_jobs(session, kept)

    await later_life.delete(caller.tenant_id, str(job_id))
    await finish_job(job_context, job_id)

    row = f"jobs/{job_id}"
    errors = {f"{row}/errors.2.{kind}" for kind in ErrorsFormat}
    assert kept == {f"{row}/input", f"{row}/input.1", f"{row}/input.2", f"{row}/result.2"} | errors
    assert (orphans, jobs.stored(job_id)) == (set(), set())
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(JobFileRow)) == 0
