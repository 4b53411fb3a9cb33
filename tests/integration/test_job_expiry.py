"""Jobs that were given a time: past it they end, whoever works on them and whatever they do."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from redis.asyncio import Redis
from sqlalchemy import select, update

from shared.database.engine import Database
from shared.database.now import database_now
from shared.jobs.claims import claim_chunk, claim_step
from shared.jobs.job import JobStatus
from shared.jobs.tables import JobRow
from shared.messaging.broker import Messenger
from shared.settings import Settings
from shared.storage.store import Storage
from shared.webhooks.tables import DeliveryRow
from tests.fixtures import endless
from tests.fixtures.jobs import BatchWorkers, Jobs, ServeModel
from workers.duties import all_duties
from workers.jobs.context import JobContext
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

CSV = b"a,b,c\n1,2,3\n"


@pytest.fixture
async def plane(serve_model: ServeModel, regressor) -> None:
    await serve_model("plane", regressor)


class Clock:
    """Lets the time of jobs run out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def runs_out(self, job_id: UUID) -> None:
        ago = JobRow.expires_at - timedelta(hours=3)
        async with self._database.transaction() as session:
            await session.execute(update(JobRow).where(JobRow.id == job_id).values(expires_at=ago))


@pytest.fixture
def clock(database: Database) -> Clock:
    return Clock(database)


@pytest.mark.usefixtures("plane")
async def test_a_job_that_nobody_takes_expires_by_the_duty_and_its_owner_is_told(
    jobs: Jobs,
    clock: Clock,
    *,
    settings: Settings,
    database: Database,
    redis: Redis,
    messenger: Messenger,
    storage: Storage,
):
    servers = {"database": database, "redis": redis, "messenger": messenger, "storage": storage}
    duties = {duty.name: duty for duty in all_duties(settings, **servers)}
    late = await jobs.submitted(CSV, model="plane", expires_after="2h", callback_url="http://127.0.0.1:9/")
    in_time = await jobs.submitted(CSV, model="plane", expires_after="2h")
    endless_ = await jobs.submitted(CSV, model="plane")
    await clock.runs_out(late)

    await duties["expire_jobs"].run()

    job = await jobs.get(late)
    assert (job.status, job.error.code) == (JobStatus.EXPIRED, "expired")
    assert "7200 seconds" in job.error.message
    assert job.expired_at == job.ended_at
    assert job.ended_at > job.expires_at
    assert [(await jobs.get(other)).status for other in (in_time, endless_)] == ["validating"] * 2
    async with database.transaction() as session:
        (told,) = await session.scalars(select(DeliveryRow).where(DeliveryRow.job_id == late))
    assert told.event_type == "job.failed"
    assert '"status":"expired"' in told.body


@pytest.mark.usefixtures("plane")
async def test_the_time_is_counted_from_the_submission_by_the_databases_clock(jobs: Jobs, database: Database):
    async with database.transaction() as session:
        before = await database_now(session)

    job_id = await jobs.submitted(CSV, model="plane", expires_after="90")

    async with database.transaction() as session:
        after = await database_now(session)
    assert before <= (await jobs.row(job_id)).expires_at - timedelta(seconds=90) <= after


@pytest.mark.usefixtures("plane")
async def test_work_on_a_job_that_is_late_is_not_begun(
    jobs: Jobs, database: Database, settings: Settings, job_context: JobContext, clock: Clock
):
    unplanned = await jobs.submitted(CSV, model="plane", expires_after="2h")
    planned = await jobs.submitted(CSV, model="plane", expires_after="2h")
    await plan_job(job_context, planned)
    for job_id in (unplanned, planned):
        await clock.runs_out(job_id)

    async with database.transaction() as session:
        step = await claim_step(session, unplanned, JobStatus.VALIDATING, settings=settings)
        chunk = await claim_chunk(session, planned, 0, settings=settings)

    assert (step, chunk) == (None, None)
    assert [(await jobs.get(job_id)).status for job_id in (unplanned, planned)] == [JobStatus.EXPIRED] * 2


async def test_a_model_in_native_code_is_ended_when_its_job_expires_though_no_scheduler_runs(
    jobs: Jobs, job_context: JobContext, serve_model: ServeModel, tmp_path: Path
):
    await serve_model("endless", await asyncio.to_thread(endless.saved, tmp_path / "endless.pkl"))
    before = {child.pid for child in psutil.Process(os.getpid()).children(recursive=True)}
    job_id = await jobs.submitted(f"x\n{endless.COMPUTE}\n".encode(), model="endless", expires_after="4s")
    await plan_job(job_context, job_id)

    async with asyncio.timeout(30):  # of the minute that the model would take
        await run_chunk(job_context, job_id, 0)
        await run_chunk(job_context, job_id, 0)  # as the message asks that hands it back

    job = await jobs.get(job_id)
    assert (job.status, job.started_at is not None) == (JobStatus.EXPIRED, True)
    (chunk,) = await jobs.chunks(job_id)
    assert (chunk.lease_until, chunk.part_key) == (None, None)
    left = [c for c in psutil.Process(os.getpid()).children(recursive=True) if c.pid not in before]
    assert [child for child in left if child.name().startswith("python") and child.is_running()] == []


@pytest.mark.usefixtures("plane")
async def test_a_scheduler_ends_it_where_no_worker_runs(jobs: Jobs, batch_workers: BatchWorkers):
    await batch_workers.start("workers.scheduler")

    job_id = await jobs.submitted(CSV, model="plane", expires_after="1s")

    assert (await jobs.ended(job_id)).status is JobStatus.EXPIRED
