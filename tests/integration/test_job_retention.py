"""Jobs that have been kept for long enough, and those that their owner deletes."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from httpx import AsyncClient
from sqlalchemy import func, select, update

from shared.access.caller import Caller
from shared.database.engine import Database
from shared.ids import new_id
from shared.jobs.errors import JobNotEnded, JobNotFound, ResultExpired
from shared.jobs.hints import Hint
from shared.jobs.job import ErrorsFormat, JobStatus, input_key
from shared.jobs.later_life import LaterLife
from shared.jobs.lookup import JobFilter
from shared.jobs.lost_work import lost_work
from shared.jobs.partial import partial_result
from shared.jobs.retention import end_retention
from shared.jobs.service import JobService
from shared.jobs.tables import ChunkRow, JobLogRow, JobRow
from shared.messaging.actors import FINISH_JOB
from shared.settings import Settings
from tests.fixtures.api import Account
from tests.fixtures.jobs import Jobs, RunJob, ServeModel
from workers.jobs.context import JobContext
from workers.jobs.finish import finish_job
from workers.jobs.plan import plan_job

CSV = b"a,b,c\n1,2,3\n4,5,6\n"


@pytest.fixture
async def plane(serve_model: ServeModel, regressor) -> None:
    await serve_model("plane", regressor)


class Keeper:
    """Looks for jobs that were kept for long enough, and lets days pass for those that have ended."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings

    async def looks(self, **changes: Any) -> list[Hint]:
        settings = msgspec.structs.replace(self._settings, **changes)
        async with self._database.transaction() as session:
            return await end_retention(session, settings)

    async def days_pass(self, job_id: UUID, days: float) -> None:
        ended = func.now() - timedelta(days=days)
        async with self._database.transaction() as session:
            await session.execute(update(JobRow).where(JobRow.id == job_id).values(ended_at=ended))

    async def count(self, kind: type) -> int:
        async with self._database.transaction() as session:
            return await session.scalar(select(func.count()).select_from(kind)) or 0


@pytest.fixture
def keeper(database: Database, settings: Settings) -> Keeper:
    return Keeper(database, settings)


@pytest.mark.usefixtures("plane")
async def test_the_files_of_a_job_go_after_their_days_and_the_job_stays(
    jobs: Jobs,
    run_job: RunJob,
    job_context: JobContext,
    *,
    keeper: Keeper,
    database: Database,
    caller: Caller,
):
    job_id, younger = [await jobs.submitted(CSV, model="plane") for _ in range(2)]
    for each in (job_id, younger):
        await run_job(each)
    await keeper.days_pass(job_id, 30.1)
    await keeper.days_pass(younger, 29.9)
    async with database.transaction() as session:
        session.add(JobLogRow(job_id=job_id, content=b"said", printed_bytes=4))

    hints = await keeper.looks()
    await finish_job(job_context, job_id)

    assert hints == [(FINISH_JOB, (job_id,))]
    assert await keeper.looks() == []
    assert (jobs.stored(job_id), await keeper.count(JobLogRow)) == (set(), 0)
    job = await jobs.get(job_id)
    assert (job.status, job.rows.done, job.output.rows) == (JobStatus.SUCCEEDED, 2, 2)
    assert job.files_removed_at is not None
    with pytest.raises(ResultExpired, match="were removed on"):
        await jobs.result(job_id)
    with pytest.raises(ResultExpired):
        await jobs.errors(job_id, ErrorsFormat.CSV)
    with pytest.raises(ResultExpired):
        async with database.transaction() as session:
            await partial_result(session, caller.tenant_id, str(job_id))
    assert len((await jobs.result(younger)).splitlines()) == 3


@pytest.mark.usefixtures("plane")
async def test_a_job_whose_input_was_removed_is_neither_retried_nor_put_together(
    jobs: Jobs, keeper: Keeper, later_life: LaterLife, caller: Caller, job_context: JobContext
):
    job_id = await jobs.submitted(CSV, model="plane")
    await plan_job(job_context, job_id)
    await jobs.cancel(job_id)
    await keeper.days_pass(job_id, 31)

    await keeper.looks()

    with pytest.raises(ResultExpired):
        await later_life.retry(caller.tenant_id, str(job_id))
    await finish_job(job_context, job_id)
    assert jobs.stored(job_id) == set()


@pytest.mark.usefixtures("plane")
async def test_the_job_itself_goes_after_its_days(
    jobs: Jobs, run_job: RunJob, keeper: Keeper, job_context: JobContext
):
    job_id = await jobs.submitted(CSV, model="plane")
    await run_job(job_id)
    await keeper.days_pass(job_id, 366)

    await keeper.looks()
    with pytest.raises(JobNotFound):
        await jobs.get(job_id)
    await finish_job(job_context, job_id)

    assert [await keeper.count(kind) for kind in (JobRow, ChunkRow)] == [0, 0]
    assert jobs.stored(job_id) == set()


@pytest.mark.usefixtures("plane")
async def test_with_no_days_set_everything_is_kept_and_unfinished_jobs_are_in_any_case(
    jobs: Jobs, run_job: RunJob, keeper: Keeper
):
    ended, _ = [await jobs.submitted(CSV, model="plane") for _ in range(2)]
    await run_job(ended)
    await keeper.days_pass(ended, 10_000)

    for_ever = await keeper.looks(job_retention_days=0, job_record_days=0)
    with_days = await keeper.looks(job_record_days=0)

    assert for_ever == []
    assert with_days == [(FINISH_JOB, (ended,))]


@pytest.mark.usefixtures("plane")
async def test_a_deleted_job_is_gone_at_once_and_its_files_soon_though_the_message_is_lost(
    jobs: Jobs,
    run_job: RunJob,
    later_life: LaterLife,
    *,
    caller: Caller,
    job_service: JobService,
    job_context: JobContext,
    database: Database,
    settings: Settings,
    keeper: Keeper,
):
    job_id = await jobs.submitted(CSV, model="plane")
    with pytest.raises(JobNotEnded, match="cancel it first"):
        await later_life.delete(caller.tenant_id, str(job_id))
    await run_job(job_id)
    with pytest.raises(JobNotFound):
        await later_life.delete(new_id(), str(job_id))

    await later_life.delete(caller.tenant_id, str(job_id))

    with pytest.raises(JobNotFound):
        await jobs.get(job_id)
    with pytest.raises(JobNotFound):
        await later_life.delete(caller.tenant_id, str(job_id))
    assert await job_service.list_newest(caller.tenant_id, JobFilter(), limit=9) == []
    assert input_key(job_id) in jobs.stored(job_id)
    async with database.transaction() as session:
        await session.execute(update(JobRow).values(sent_at=func.now() - timedelta(seconds=21)))
        assert await lost_work(session, settings) == [(FINISH_JOB, (job_id,))]
    await finish_job(job_context, job_id)
    assert (jobs.stored(job_id), await keeper.count(JobRow)) == (set(), 0)


async def test_jobs_are_retried_and_deleted_over_http(client: AsyncClient, account: Account):
    missing = f"/api/v1/jobs/{new_id()}"

    retried = await client.post(f"{missing}/retry", headers=account.headers)
    deleted = await client.delete(missing, headers=account.headers)

    assert [(a.status_code, a.json()["code"]) for a in (retried, deleted)] == [(404, "job_not_found")] * 2
