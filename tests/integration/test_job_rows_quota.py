"""Rows of jobs count against their tenant's day: before they are predicted where their number is known."""

import io

import msgspec
import pandas as pd
import pytest

from shared.jobs.job import JobStatus
from shared.quotas.holdings import held
from shared.quotas.quota import Quota
from shared.settings import Settings
from tests.fixtures.jobs import Jobs, RunJob, ServeModel

PER_DAY = 5


@pytest.fixture(autouse=True)
async def plane(serve_model: ServeModel, regressor) -> None:
    await serve_model("plane", regressor)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, quota_job_rows_per_day=PER_DAY)


@pytest.fixture
def used(database, caller):
    async def count() -> int:
        async with database.transaction() as session:
            return await held(session, caller.tenant_id, Quota.JOB_ROWS_PER_DAY)

    return count


def parquet(rows: int) -> bytes:
    file = io.BytesIO()
    pd.DataFrame({name: [1.0] * rows for name in "abc"}).to_parquet(file)
    return file.getvalue()


def csv(rows: int) -> bytes:
    return b"a,b,c\n" + b"1,2,3\n" * rows


async def test_a_job_of_more_rows_than_are_left_fails_before_it_runs(jobs: Jobs, run_job: RunJob, used):
    await run_job(await jobs.submitted(parquet(3), model="plane"))
    job_id = await jobs.submitted(parquet(3), model="plane")

    job = await run_job(job_id)

    assert (job.status, job.error.code) == (JobStatus.FAILED, "quota_exceeded")
    assert "is 5, 3 are used today, and this needs 3 more" in job.error.message
    assert await jobs.chunks(job_id) == []
    assert await used() == 3


async def test_rows_of_text_count_when_they_were_read(jobs: Jobs, run_job: RunJob, used):
    first = await run_job(await jobs.submitted(csv(4), model="plane"))

    second = await run_job(await jobs.submitted(csv(2), model="plane"))

    assert first.status == JobStatus.SUCCEEDED
    assert (second.status, second.error.code) == (JobStatus.FAILED, "quota_exceeded")
    assert await used() == 4


async def test_all_rows_of_the_day_may_be_used(jobs: Jobs, run_job: RunJob, used):
    job = await run_job(await jobs.submitted(parquet(PER_DAY), model="plane"))

    assert job.status == JobStatus.SUCCEEDED
    assert await used() == PER_DAY
