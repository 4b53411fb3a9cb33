"""A batch worker on another host, which is cut off in the middle of a job and comes back."""

import asyncio
import io
from pathlib import Path
from uuid import UUID

import msgspec
import numpy as np
import obstore
import pandas as pd
import pyarrow.parquet as pq
import pytest

from shared.jobs.job import JobStatus
from shared.jobs.tables import ChunkRow
from shared.settings import Settings
from shared.storage.bucket import open_store
from tests.fixtures.jobs import BatchWorkers, Jobs, ServeModel
from tests.fixtures.other_host import OtherHost, WorkersThere
from tests.fixtures.slow import COLUMNS, save_slow_model

ROWS, GROUP = 60_000, 10_000
# Short, so that a lost host costs the test seconds. A chunk takes each worker about a second.
BRISK = {
    "lease_s": 3.0,
    "resend_after_s": 3.0,
    "job_threads": 1,
    "chunk_bytes": 240_000,  # a row group
    "chunk_batch_rows": 500,
}


@pytest.fixture
def settings(settings: Settings, bucket_url: str) -> Settings:
    return msgspec.structs.replace(settings, storage_url=bucket_url)


@pytest.fixture(scope="module")
def numbers() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(1).normal(size=(ROWS, 3)), columns=COLUMNS)


@pytest.fixture(scope="module")
def rows(numbers: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    numbers.to_parquet(file, index=False, row_group_size=GROUP)
    return file.getvalue()


def stored(settings: Settings, job_id: UUID) -> set[str]:
    """Keys of all that the bucket holds of a job."""
    pages = obstore.list(open_store(settings.storage_url), f"jobs/{job_id}")
    return {entry["path"] for page in pages for entry in page}


async def in_hand(jobs: Jobs, job_id: UUID, *, workers: int) -> list[ChunkRow]:
    """The chunks that so many workers have in hand and have just begun; another is published."""
    async with asyncio.timeout(60):
        while True:
            chunks = await jobs.chunks(job_id)
            running = [c for c in chunks if c.status == "running" and 0 < c.rows_done <= GROUP // 2]
            if len(running) == workers and any(chunk.part_key for chunk in chunks):
                return running
            await asyncio.sleep(0.02)


async def until_overtaken(jobs: Jobs, job_id: UUID, claim: ChunkRow) -> None:
    """Returns when another worker has published the chunk that was claimed."""
    async with asyncio.timeout(60):
        while not (chunk := (await jobs.chunks(job_id))[claim.index]).part_key:
            await asyncio.sleep(0.02)
    assert chunk.fence > claim.fence


async def test_a_host_that_is_cut_off_delays_a_job_and_spoils_nothing(
    jobs: Jobs,
    serve_model: ServeModel,
    settings: Settings,
    *,
    batch_workers: BatchWorkers,
    other_host: OtherHost,
    workers_there: WorkersThere,
    rows: bytes,
    numbers: pd.DataFrame,
    tmp_path: Path,
):
    await serve_model("slow", save_slow_model(tmp_path / "slow.pkl"))
    await batch_workers.start("workers.scheduler", **BRISK)
    there = workers_there.start(**BRISK)
    job_id = await jobs.submitted(rows, model="slow")
    [claim] = await in_hand(jobs, job_id, workers=1)

    other_host.pull_the_plug()
    here = await batch_workers.start(**BRISK)
    await until_overtaken(jobs, job_id, claim)
    other_host.plug_in()
    job = await jobs.ended(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert job.rows.done == ROWS
    output = pq.read_table(io.BytesIO(await jobs.result(job_id))).to_pandas()
    assert output.pop("prediction").tolist() == numbers.to_numpy().sum(axis=1).tolist()
    pd.testing.assert_frame_equal(output, numbers)
    here.kill()
    await works_again(jobs)
    row = await jobs.row(job_id)
    assert stored(settings, job_id) == {row.input_key, row.result_key}
    assert there.popen.poll() is None


async def works_again(jobs: Jobs) -> None:
    """With the other worker gone, whatever is done now is done by the host that has come back."""
    job = await jobs.ended(await jobs.submitted(b"a,b,c\n1,2,3\n", model="slow"))
    assert job.status is JobStatus.SUCCEEDED, job.error
