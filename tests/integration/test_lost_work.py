"""Which messages the scheduler sends again, and which it does not."""

import json
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from shared.database.engine import Database
from shared.jobs.chunk_hints import MOST_HINTS, missing_hints
from shared.jobs.claims import claim_chunk, claim_step
from shared.jobs.hints import Hint
from shared.jobs.job import JobStatus, PlannedChunk, Priority, RowGroups
from shared.jobs.lost_work import lost_work
from shared.jobs.outcomes import hand_back, record_plan
from shared.jobs.tables import ChunkRow, JobRow
from shared.messaging.actors import FINISH_JOB, PLAN_JOB, RUN_NORMAL
from shared.settings import Settings
from shared.webhooks.tables import DeliveryRow
from tests.fixtures.jobs import Jobs, RunJob, ServeModel

CSV = b"a,b,c\n1,2,3\n"


@pytest.fixture(autouse=True)
async def plane(serve_model: ServeModel, regressor) -> None:
    await serve_model("plane", regressor)


@pytest.fixture
async def job_id(jobs: Jobs) -> UUID:
    return await jobs.submitted(CSV, model="plane")


class Scheduler:
    """Looks for lost work, and lets time pass for all that was sent or held."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings

    async def looks(self) -> list[Hint]:
        async with self._database.transaction() as session:
            return await lost_work(session, self._settings)

    async def misses(self, *silent: Priority) -> list[Hint]:
        """What it sends where these queues are empty."""
        async with self._database.transaction() as session:
            return await missing_hints(session, silent, settings=self._settings)

    async def later(self, seconds: float) -> None:
        ago = timedelta(seconds=seconds)
        async with self._database.transaction() as session:
            for row in (JobRow, ChunkRow):
                times = {"sent_at": row.sent_at - ago, "lease_until": row.lease_until - ago}
                await session.execute(update(row).values(times))

    async def plan(self, job_id: UUID, *, chunks: int) -> list[Hint]:
        async with self._database.transaction() as session:
            claim = await claim_step(session, job_id, JobStatus.VALIDATING, settings=self._settings)
            assert claim is not None
            hints = await record_plan(session, claim, [PlannedChunk(RowGroups(0, 1), 1)] * chunks)
        assert hints is not None
        return hints

    async def claim(self, job_id: UUID, index: int) -> None:
        async with self._database.transaction() as session:
            assert await claim_chunk(session, job_id, index, settings=self._settings)


@pytest.fixture
def scheduler(database: Database, settings: Settings) -> Scheduler:
    return Scheduler(database, settings)


async def test_a_job_that_nobody_plans_is_asked_for_again_after_a_while(scheduler: Scheduler, job_id: UUID):
    at_once = await scheduler.looks()
    await scheduler.later(21)

    assert at_once == []
    assert await scheduler.looks() == [(PLAN_JOB, (job_id,))]
    assert await scheduler.looks() == []


async def test_a_job_whose_planner_died_is_asked_for_as_soon_as_its_lease_ends(
    scheduler: Scheduler, job_id: UUID, database: Database, settings: Settings
):
    async with database.transaction() as session:
        await claim_step(session, job_id, JobStatus.VALIDATING, settings=settings)
    held = await scheduler.looks()
    await scheduler.later(15.5)

    assert held == []
    assert await scheduler.looks() == [(PLAN_JOB, (job_id,))]


async def test_chunks_of_which_messages_tell_are_not_asked_for(scheduler: Scheduler, job_id: UUID):
    await scheduler.plan(job_id, chunks=3)
    just_sent = await scheduler.misses(Priority.NORMAL)
    await scheduler.later(60)

    assert just_sent == []
    assert await scheduler.misses(Priority.HIGH, Priority.LOW) == []
    assert await scheduler.looks() == []


async def test_chunks_of_which_no_message_tells_are_asked_for(scheduler: Scheduler, job_id: UUID):
    await scheduler.plan(job_id, chunks=3)
    await scheduler.claim(job_id, 1)
    await scheduler.later(2)

    assert await scheduler.misses(*Priority) == [(RUN_NORMAL, ())] * 2


async def test_however_many_chunks_wait_a_queue_is_not_flooded(scheduler: Scheduler, job_id: UUID):
    hints = await scheduler.plan(job_id, chunks=3 * MOST_HINTS)
    await scheduler.later(2)

    assert hints == await scheduler.misses(*Priority) == [(RUN_NORMAL, ())] * MOST_HINTS


async def test_a_chunk_that_was_lost_with_its_worker_is_asked_for_though_others_run(
    scheduler: Scheduler, job_id: UUID
):
    await scheduler.plan(job_id, chunks=3)
    await scheduler.claim(job_id, 0)
    await scheduler.later(15.5)
    await scheduler.claim(job_id, 1)
    await scheduler.claim(job_id, 2)

    assert await scheduler.misses(*Priority) == [(RUN_NORMAL, ())]


async def test_a_step_that_was_handed_back_has_its_attempt_back(
    jobs: Jobs, job_id: UUID, database: Database, settings: Settings
):
    async with database.transaction() as session:
        claim = await claim_step(session, job_id, JobStatus.VALIDATING, settings=settings)
        assert claim is not None

        hints = await hand_back(session, claim)

    assert hints == [(PLAN_JOB, (job_id,))]
    job = await jobs.row(job_id)
    assert (job.attempts, job.lease_until) == (0, None)


async def test_a_cancelled_job_is_swept_once_nobody_works_on_it(
    scheduler: Scheduler, jobs: Jobs, job_id: UUID
):
    await scheduler.plan(job_id, chunks=2)
    await scheduler.claim(job_id, 0)
    await scheduler.later(14)
    await jobs.cancel(job_id)
    still_held = await scheduler.looks()
    await scheduler.later(7)

    assert still_held == []
    assert await scheduler.looks() == [(FINISH_JOB, (job_id,))]


async def test_a_finished_job_leaves_nothing_to_do(scheduler: Scheduler, run_job: RunJob, job_id: UUID):
    await run_job(job_id)
    await scheduler.later(3600)

    assert await scheduler.looks() == []


async def test_the_end_of_a_job_is_recorded_for_its_callback_in_the_same_transaction(
    jobs: Jobs, run_job: RunJob, database: Database
):
    urls = [f"http://127.0.0.1:9/{name}" for name in ("succeeded", "failed", "cancelled")]
    ids = [
        await jobs.submitted(content, model="plane", callback_url=url, metadata='{"run": 7}')
        for content, url in zip([CSV, b"a,b\n1,2\n", CSV], urls, strict=True)
    ]
    await jobs.cancel(ids[2])
    for job_id in ids[:2]:
        await run_job(job_id)

    async with database.transaction() as session:
        found = list(await session.scalars(select(DeliveryRow).order_by(DeliveryRow.job_id)))
        assert await session.scalar(select(func.count()).select_from(DeliveryRow)) == 3
    assert [(delivery.job_id, delivery.event_type, delivery.url) for delivery in found] == [
        (job_id, f"job.{url.rpartition('/')[2]}", url) for job_id, url in zip(ids, urls, strict=True)
    ]
    data = json.loads(found[0].body)["data"]
    assert (data["id"], data["status"], data["rows"]["done"]) == (str(ids[0]), "succeeded", 1)
    assert data["metadata"] == {"run": 7}
    assert json.loads(found[1].body)["data"]["error"]["code"] == "columns_do_not_fit"
