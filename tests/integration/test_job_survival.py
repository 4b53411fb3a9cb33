"""Jobs whose worker, model host or broker is killed in the middle: a delay, and the same bytes in the end."""

import asyncio
import io
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest

from deploy.local.redis import KEPT, RedisServer
from shared.jobs.job import JobStatus
from shared.settings import Settings
from tests.fixtures.jobs import BatchWorkers, Jobs, RunJob, ServeModel
from tests.fixtures.processes import Process
from tests.fixtures.servers import PASSWORD, running, server_folder
from tests.fixtures.slow import COLUMNS, save_slow_model

ROWS = 400_000
# Short, so that a lost worker costs the test seconds.
BRISK = {"lease_s": 3.0, "resend_after_s": 3.0, "job_threads": 1}


@pytest.fixture(scope="session")
def numbers() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(1).normal(size=(ROWS, 3)), columns=COLUMNS)


@pytest.fixture(scope="session")
def parquet_input(numbers: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    numbers.to_parquet(file, index=False, row_group_size=20_000)
    return file.getvalue()


@pytest.fixture(scope="session")
def csv_input(numbers: pd.DataFrame) -> bytes:
    return numbers.to_csv(index=False).encode()


@pytest.fixture
async def slow_model(serve_model: ServeModel, tmp_path: Path) -> None:
    await serve_model("slow", save_slow_model(tmp_path / "slow.pkl"))


async def in_the_middle(jobs: Jobs, job_id: UUID) -> None:
    """Returns when some of the job's parts are published and another is being made."""

    async def is_reached() -> bool:
        chunks = await jobs.chunks(job_id)
        done = [chunk for chunk in chunks if chunk.part_key]
        return bool(done) and len(done) < len(chunks) and any(c.status == "running" for c in chunks)

    async with asyncio.timeout(60):
        while not await is_reached():
            await asyncio.sleep(0.02)


def hosts_of(worker: Process) -> list[psutil.Process]:
    """The model hosts of a worker: children of its template, which is its only child."""
    return [host for template in psutil.Process(worker.popen.pid).children() for host in template.children()]


def check_result(content: bytes, numbers: pd.DataFrame) -> None:
    """Every row once, in order, with its prediction."""
    output = pq.read_table(io.BytesIO(content)).to_pandas()
    assert output.pop("prediction").tolist() == numbers.to_numpy().sum(axis=1).tolist()
    pd.testing.assert_frame_equal(output, numbers)


@pytest.mark.usefixtures("slow_model")
@pytest.mark.parametrize("format_", ["parquet", "csv"])
async def test_a_job_survives_the_death_of_its_worker(
    jobs: Jobs,
    run_job: RunJob,
    batch_workers: BatchWorkers,
    request: pytest.FixtureRequest,
    format_: str,
):
    content = request.getfixturevalue(f"{format_}_input")
    undisturbed = await jobs.submitted(content, model="slow")
    await run_job(undisturbed)
    await batch_workers.start("workers.scheduler", **BRISK)
    first = await batch_workers.start(**BRISK)

    job_id = await jobs.submitted(content, model="slow")
    await in_the_middle(jobs, job_id)
    first.kill()
    await batch_workers.start(**BRISK)

    job = await jobs.ended(job_id)
    assert job.status is JobStatus.SUCCEEDED, job.error
    assert job.rows.done == ROWS
    assert await jobs.result(job_id) == await jobs.result(undisturbed)
    assert max(chunk.attempts for chunk in await jobs.chunks(job_id)) == 2


@pytest.mark.usefixtures("slow_model")
async def test_a_job_of_several_files_survives_the_death_of_its_worker(
    jobs: Jobs, run_job: RunJob, batch_workers: BatchWorkers, numbers: pd.DataFrame
):
    parts = [numbers[start : start + 2000] for start in range(0, 12_000, 2000)]
    files = {f"part-{at}": part.to_csv(index=False).encode() for at, part in enumerate(parts)}
    worker = await batch_workers.start(**BRISK, chunk_batch_rows=500)

    job_id = await jobs.submitted_files(files, model="slow", output_format="parquet")
    await in_the_middle(jobs, job_id)
    worker.kill()
    await asyncio.sleep(BRISK["lease_s"] + 0.5)
    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    check_result(await jobs.result(job_id), numbers[:12_000])
    assert max(chunk.attempts for chunk in await jobs.chunks(job_id)) == 2


@pytest.mark.usefixtures("slow_model")
async def test_a_job_survives_the_death_of_its_model_host(
    jobs: Jobs, batch_workers: BatchWorkers, parquet_input: bytes, numbers: pd.DataFrame
):
    worker = await batch_workers.start(**BRISK)

    job_id = await jobs.submitted(parquet_input, model="slow")
    await in_the_middle(jobs, job_id)
    for host in hosts_of(worker):
        host.kill()

    job = await jobs.ended(job_id)
    assert job.status is JobStatus.SUCCEEDED, job.error
    check_result(await jobs.result(job_id), numbers)
    assert max(chunk.attempts for chunk in await jobs.chunks(job_id)) == 2


class OwnRedis:
    """A Redis that keeps its data, for one test to kill."""

    def __init__(self, folder: Path) -> None:
        self._server = RedisServer(folder / "redis", password=PASSWORD, durability=KEPT)
        self._server.prepare()
        self._folder = folder
        self._log = folder / "redis.log"
        self._lives = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self._server.url

    async def start(self) -> None:
        process = self._process = self._lives.enter_context(running(self._server.command(), self._log))
        await self._server.wait_until_ready(lambda: process.poll() is None)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        for file in (self._folder / "redis").glob("appendonlydir/*"):
            file.unlink()

    def close(self) -> None:
        self._lives.close()


@pytest.fixture
async def own_redis() -> AsyncIterator[OwnRedis]:
    with server_folder() as folder:
        redis = OwnRedis(folder)
        await redis.start()
        yield redis
        redis.close()


@pytest.fixture
def settings(settings: Settings, own_redis: OwnRedis) -> Settings:
    """Everything of these tests is on the Redis that they kill."""
    return Settings.from_env(
        {
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": own_redis.url,
            "STORAGE_URL": settings.storage_url,
            "SECRET_KEY": settings.secret_key,
        }
    )


@pytest.mark.usefixtures("slow_model")
@pytest.mark.parametrize("forgets", [False, True])
async def test_a_job_survives_the_death_of_redis(
    jobs: Jobs,
    batch_workers: BatchWorkers,
    own_redis: OwnRedis,
    *,
    parquet_input: bytes,
    numbers: pd.DataFrame,
    forgets: bool,
):
    """Even if Redis comes back empty: what to do is in Postgres."""
    await batch_workers.start("workers.scheduler", **BRISK)
    worker = await batch_workers.start(**BRISK)

    job_id = await jobs.submitted(parquet_input, model="slow")
    await in_the_middle(jobs, job_id)
    own_redis.kill()
    await asyncio.sleep(1)  # long enough for every connection to notice
    if forgets:
        own_redis.forget()
    await own_redis.start()

    job = await jobs.ended(job_id)
    assert job.status is JobStatus.SUCCEEDED, job.error
    check_result(await jobs.result(job_id), numbers)
    assert worker.popen.poll() is None


@pytest.mark.usefixtures("slow_model")
async def test_two_workers_make_the_same_bytes_as_one(
    jobs: Jobs, run_job: RunJob, batch_workers: BatchWorkers, csv_input: bytes
):
    form = {"model": "slow", "output_format": "parquet"}
    alone = await jobs.submitted(csv_input, **form)
    await run_job(alone)
    await batch_workers.start(job_threads=2)
    await batch_workers.start(job_threads=2)

    together = await jobs.submitted(csv_input, **form)

    assert (await jobs.ended(together)).status is JobStatus.SUCCEEDED
    assert await jobs.result(together) == await jobs.result(alone)


@pytest.mark.usefixtures("slow_model")
async def test_a_stopped_worker_hands_its_work_back(
    jobs: Jobs, batch_workers: BatchWorkers, parquet_input: bytes, numbers: pd.DataFrame
):
    first = await batch_workers.start(**BRISK)
    job_id = await jobs.submitted(parquet_input, model="slow")
    await in_the_middle(jobs, job_id)

    first.popen.send_signal(signal.SIGTERM)
    assert await first.wait_until_ended(timeout_s=15) == 0
    await batch_workers.start(**BRISK)

    job = await jobs.ended(job_id)
    assert job.status is JobStatus.SUCCEEDED, job.error
    check_result(await jobs.result(job_id), numbers)
    assert {chunk.attempts for chunk in await jobs.chunks(job_id)} == {1}


@pytest.mark.usefixtures("slow_model")
async def test_a_cancelled_job_stops_within_seconds_and_is_swept(
    jobs: Jobs, batch_workers: BatchWorkers, parquet_input: bytes
):
    await batch_workers.start("workers.scheduler", **BRISK)
    await batch_workers.start(**BRISK)
    job_id = await jobs.submitted(parquet_input, model="slow")
    await in_the_middle(jobs, job_id)

    await jobs.cancel(job_id)

    async with asyncio.timeout(20):
        while (await jobs.row(job_id)).swept_at is None:  # and what was finished is one file
            await asyncio.sleep(0.05)
    job, chunks = await jobs.row(job_id), await jobs.chunks(job_id)
    parts = {chunk.part_key for chunk in chunks if chunk.part_key}
    assert jobs.stored(job_id) == {job.input_key, job.result_key} | parts
    assert all(chunk.lease_until is None for chunk in chunks)
