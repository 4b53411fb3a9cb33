"""How many unfinished jobs a tenant may have, and what priority they ask for."""

import asyncio

import msgspec
import pytest
from httpx import AsyncClient
from sqlalchemy import func, select, update

from shared.access.caller import Caller
from shared.database.engine import Database
from shared.jobs.errors import TooManyJobs
from shared.jobs.job import Priority
from shared.jobs.submission import JobSubmissions
from shared.jobs.tables import JobRow
from shared.settings import Settings
from tests.fixtures.api import Account
from tests.fixtures.jobs import Jobs, ServeModel

CSV = b"a,b,c\n1,2,3\n"


@pytest.fixture(autouse=True)
async def plane(serve_model: ServeModel, regressor) -> None:
    await serve_model("plane", regressor)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Of a platform that takes three jobs of a tenant."""
    return msgspec.structs.replace(settings, max_open_jobs=3)


async def test_of_many_jobs_submitted_at_once_as_many_are_taken_as_a_tenant_may_have(
    jobs: Jobs, database: Database
):
    answers = await asyncio.gather(
        *(jobs.submitted(CSV, model="plane") for _ in range(12)), return_exceptions=True
    )

    refused = [answer for answer in answers if isinstance(answer, TooManyJobs)]
    assert len(refused) == 9
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(JobRow)) == 3


async def test_a_job_that_has_ended_makes_room_for_another(
    jobs: Jobs, job_submissions: JobSubmissions, caller: Caller
):
    job_ids = [await jobs.submitted(CSV, model="plane") for _ in range(3)]
    with pytest.raises(TooManyJobs, match="3 of your jobs"):
        await job_submissions.check_room(caller.tenant_id)
    await jobs.cancel(job_ids[0])

    await job_submissions.check_room(caller.tenant_id)

    await jobs.submitted(CSV, model="plane")


async def test_a_job_has_the_priority_that_was_asked_for(jobs: Jobs):
    plain = await jobs.submitted(CSV, model="plane")
    urgent = await jobs.submitted(CSV, model="plane", priority="high")

    assert (await jobs.get(plain)).priority is Priority.NORMAL
    assert (await jobs.get(urgent)).priority is Priority.HIGH


async def test_one_job_too_many_is_answered_before_its_file_is_taken(
    jobs: Jobs, database: Database, client: AsyncClient, account: Account
):
    for _ in range(3):
        await jobs.submitted(CSV, model="plane")
    async with database.transaction() as session:
        await session.execute(update(JobRow).values(tenant_id=account.tenant_id))

    answer = await client.post(
        "/api/v1/jobs", files={"file": ("rows.csv", CSV)}, data={"model": "plane"}, headers=account.headers
    )

    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_jobs")
    assert answer.headers["Retry-After"] == "10"
