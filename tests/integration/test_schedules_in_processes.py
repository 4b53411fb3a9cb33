"""A scheduler and a batch worker, as they run, and a schedule that is due."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
from sqlalchemy import func, select, update

from shared.access.caller import Caller
from shared.database.engine import Database
from shared.jobs.tables import JobRow
from shared.messaging.broker import Messenger
from shared.schedules.request import NewSchedule
from shared.schedules.scheduled_jobs import open_scheduled_jobs
from shared.schedules.service import Schedules
from shared.schedules.tables import ScheduleRow
from shared.settings import Settings
from shared.storage.store import Storage
from shared.uploads.service import Uploads
from tests.fixtures.jobs import BatchWorkers, Jobs, ServeModel, succeeded

BODY = b'{"model": "plane", "input": {"rows": [[1, 2, 4], [0.5, 0, 0]]}, "output": {"include": "none"}}'


async def test_what_is_due_is_submitted_and_predicted_by_processes(
    settings: Settings,
    database: Database,
    storage: Storage,
    messenger: Messenger,
    caller: Caller,
    jobs: Jobs,
    batch_workers: BatchWorkers,
    serve_model: ServeModel,
    regressor: Path,
):
    await serve_model("plane", regressor)
    uploads = Uploads(settings, database, storage)
    made_from = open_scheduled_jobs(settings, database, storage=storage, uploads=uploads, messenger=messenger)
    later = datetime.now(UTC) + timedelta(days=1)
    asked = NewSchedule(name="once", run_at=later, job=msgspec.Raw(BODY))
    made = await Schedules(settings, database, made_from).create(caller.tenant_id, asked)
    async with database.transaction() as session:
        await session.execute(update(ScheduleRow).values(next_run_at=func.now()))

    await batch_workers.start()
    await batch_workers.start("workers.scheduler")
    async with asyncio.timeout(60):
        while (job_id := await first_job(database, made.id)) is None:
            await asyncio.sleep(0.1)
    view = await jobs.until(job_id, lambda job: job.ended_at is not None)

    assert succeeded(view), view.error
    assert (await jobs.result(job_id)).splitlines() == [b'{"prediction":3.0}', b'{"prediction":4.5}']


async def first_job(database: Database, schedule_id: UUID) -> UUID | None:
    async with database.transaction() as session:
        return await session.scalar(select(JobRow.id).where(JobRow.schedule_id == schedule_id))
