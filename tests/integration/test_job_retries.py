"""Jobs that go on after their end, from where they stopped."""

import asyncio
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import delete, func, select, update

from shared.access.caller import Caller
from shared.catalog.tables import VersionRow
from shared.database.engine import Database
from shared.ids import new_id
from shared.jobs.claims import claim_chunk, claim_step
from shared.jobs.errors import JobEnded, JobNotEnded, JobNotFound, VersionDeleted
from shared.jobs.job import JobStatus, RowCounts, input_key
from shared.jobs.later_life import LaterLife
from shared.jobs.left_over import find_left_over
from shared.jobs.outcomes import record_part, record_plan
from shared.jobs.tables import JobRow
from shared.settings import Settings
from shared.storage.store import Storage
from shared.webhooks.tables import DeliveryRow
from tests.fixtures.jobs import BatchWorkers, Jobs, RunJob, ServeModel, store
from tests.fixtures.slow import save_slow_model
from workers.jobs.context import JobContext
from workers.jobs.finish import finish_job
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk
from workers.jobs.sweep import sweep_up

GOOD = b"a,b,c\n" + b"".join(b"%d,2,3\n" % (number % 10) for number in range(40))
BROKEN = GOOD[:-24] + b"x" + GOOD[-23:]  # in the last of the chunks


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Many chunks of a few rows."""
    return msgspec.structs.replace(settings, chunk_bytes=60, chunk_batch_rows=2)


@pytest.fixture
async def plane(serve_model: ServeModel, regressor) -> VersionRow:
    return await serve_model("plane", regressor)


class Retries:
    """Retries jobs of the caller."""

    def __init__(self, later_life: LaterLife, caller: Caller, storage: Storage) -> None:
        self._later_life, self._caller, self._storage = later_life, caller, storage

    async def retry(self, job_id: UUID):
        return await self._later_life.retry(self._caller.tenant_id, str(job_id))

    async def mend(self, job_id: UUID, content: bytes = GOOD) -> None:
        """Put another file in the place of the input."""
        await store(self._storage, input_key(job_id), content)


@pytest.fixture
def retries(later_life: LaterLife, caller: Caller, storage: Storage) -> Retries:
    return Retries(later_life, caller, storage)


@pytest.mark.usefixtures("plane")
async def test_a_retried_job_runs_only_what_was_not_done_and_ends_with_the_bytes_of_one_undisturbed(
    jobs: Jobs, run_job: RunJob, retries: Retries
):
    undisturbed = await jobs.submitted(GOOD, model="plane")
    await run_job(undisturbed)
    job_id = await jobs.submitted(BROKEN, model="plane")
    failed = await run_job(job_id)
    before = await jobs.chunks(job_id)
    await retries.mend(job_id)

    retried = await retries.retry(job_id)
    job = await run_job(job_id)

    assert (failed.status, failed.error.chunk) == (JobStatus.FAILED, len(before) - 1)
    assert (retried.status, retried.error, retried.retries) == (JobStatus.QUEUED, None, 1)
    assert (retried.failed_at, retried.ended_at, retried.started_at) == (None, None, None)
    assert retried.rows.done == sum(chunk.rows_done for chunk in before[:-1])
    assert (job.status, job.retries, job.failed_at) == (JobStatus.SUCCEEDED, 1, None)
    times = [job.created_at, job.retried_at, job.queued_at, job.started_at, job.finalizing_at, job.ended_at]
    assert times == sorted(times)
    assert await jobs.result(job_id) == await jobs.result(undisturbed)
    after = await jobs.chunks(job_id)
    assert [chunk.part_key for chunk in after[:-1]] == [chunk.part_key for chunk in before[:-1]]
    assert [chunk.fence for chunk in after] == [1] * (len(before) - 1) + [2]


@pytest.mark.usefixtures("plane")
async def test_a_failed_job_keeps_its_parts_and_nothing_that_is_of_no_use(
    jobs: Jobs, run_job: RunJob, storage: Storage
):
    job_id = await jobs.submitted(BROKEN, model="plane")
    await store(storage, f"jobs/{job_id}/result.0", b"of a worker that was lost")

    await run_job(job_id)

    row, chunks = await jobs.row(job_id), await jobs.chunks(job_id)
    assert row.swept_at is not None
    parts = {chunk.part_key for chunk in chunks[:-1]}
    assert jobs.stored(job_id) == {row.input_key, row.head["key"], row.result_key} | parts


@pytest.mark.usefixtures("plane")
async def test_a_job_that_failed_in_validating_is_validated_again(
    jobs: Jobs, run_job: RunJob, retries: Retries
):
    job_id = await jobs.submitted(b"a,b\n1,2\n", model="plane")
    failed = await run_job(job_id)
    await retries.mend(job_id)

    retried = await retries.retry(job_id)

    assert (failed.error.code, retried.status) == ("columns_do_not_fit", JobStatus.VALIDATING)
    assert (await run_job(job_id)).status is JobStatus.SUCCEEDED


@pytest.mark.usefixtures("plane")
async def test_spent_attempts_are_given_anew(
    jobs: Jobs, run_job: RunJob, retries: Retries, database: Database, settings: Settings
):
    job_id = await jobs.submitted(GOOD, model="plane")
    async with database.transaction() as session:
        claim = await claim_step(session, job_id, JobStatus.VALIDATING, settings=settings)
        row = await jobs.row(job_id)
    assert claim is not None
    async with database.transaction() as session:
        (await session.get_one(type(row), job_id)).attempts = settings.chunk_attempts
        (await session.get_one(type(row), job_id)).lease_until = None
    failed = await run_job(job_id)

    await retries.retry(job_id)

    assert failed.error.code == "worker_lost"
    assert (await run_job(job_id)).status is JobStatus.SUCCEEDED
    async with database.transaction() as session:
        assert await record_plan(session, claim, []) is None  # the claim of before is void


@pytest.mark.usefixtures("plane")
async def test_whoever_still_works_for_the_end_of_before_publishes_nothing(
    jobs: Jobs,
    run_job: RunJob,
    retries: Retries,
    *,
    job_context: JobContext,
    database: Database,
    settings: Settings,
):
    job_id = await jobs.submitted(GOOD, model="plane")
    await plan_job(job_context, job_id)
    async with database.transaction() as session:
        old = await claim_chunk(session, job_id, 0, settings=settings)
    assert old is not None
    await jobs.cancel(job_id)
    await retries.retry(job_id)

    async with database.transaction() as session:
        published = await record_part(session, old, rows=RowCounts(8), size_bytes=1)

    assert published is None
    assert (await run_job(job_id)).status is JobStatus.SUCCEEDED


@pytest.mark.usefixtures("plane")
async def test_a_slow_sweep_leaves_alone_what_a_retry_has_made(
    jobs: Jobs, retries: Retries, job_context: JobContext, database: Database
):
    job_id = await jobs.submitted(GOOD, model="plane")
    await plan_job(job_context, job_id)
    await run_chunk(job_context, job_id, 0)
    await jobs.cancel(job_id)
    async with database.transaction() as session:
        seen = await find_left_over(session, job_id)
    assert seen is not None
    await retries.retry(job_id)
    for chunk in await jobs.chunks(job_id):
        await run_chunk(job_context, job_id, chunk.index)

    await sweep_up(job_context, seen)
    await finish_job(job_context, job_id)

    assert (await jobs.get(job_id)).status is JobStatus.SUCCEEDED
    assert len((await jobs.result(job_id)).splitlines()) == 41


@pytest.mark.usefixtures("plane")
async def test_an_expired_job_gets_its_time_anew(jobs: Jobs, retries: Retries, run_job: RunJob):
    job_id = await jobs.submitted(GOOD, model="plane", expires_after="1")
    await asyncio.sleep(1)
    expired = await run_job(job_id)

    retried = await retries.retry(job_id)

    assert (expired.status, retried.expired_at) == (JobStatus.EXPIRED, None)
    assert (retried.expires_at - retried.retried_at).total_seconds() == 1


@pytest.mark.usefixtures("plane")
async def test_every_end_is_told_as_an_event_of_its_own(
    jobs: Jobs, run_job: RunJob, retries: Retries, database: Database
):
    job_id = await jobs.submitted(BROKEN, model="plane", callback_url="http://127.0.0.1:9/")
    await run_job(job_id)
    await retries.retry(job_id)
    await run_job(job_id)
    await retries.mend(job_id)
    await retries.retry(job_id)
    await run_job(job_id)

    async with database.transaction() as session:
        query = select(DeliveryRow).where(DeliveryRow.job_id == job_id).order_by(DeliveryRow.id)
        told = (await session.scalars(query)).all()
    assert [event.event_type for event in told] == ["job.failed", "job.failed", "job.succeeded"]
    assert len({event.id for event in told}) == 3


async def test_what_cannot_be_retried_is_refused_with_the_reason(
    jobs: Jobs,
    run_job: RunJob,
    retries: Retries,
    later_life: LaterLife,
    plane: VersionRow,
    database: Database,
):
    job_id = await jobs.submitted(GOOD, model="plane")
    with pytest.raises(JobNotEnded, match="is validating"):
        await retries.retry(job_id)
    with pytest.raises(JobNotFound):
        await later_life.retry(new_id(), str(job_id))
    await run_job(job_id)
    with pytest.raises(JobEnded, match="has succeeded"):
        await retries.retry(job_id)
    failed = await jobs.submitted(GOOD, model="plane")
    await jobs.cancel(failed)
    async with database.transaction() as session:
        await session.execute(delete(VersionRow).where(VersionRow.id == plane.id))

    with pytest.raises(VersionDeleted, match="version 1 of 'plane' was deleted"):
        await retries.retry(failed)


async def test_workers_take_a_job_up_again_that_expired_while_its_worker_was_killed(
    jobs: Jobs,
    serve_model: ServeModel,
    batch_workers: BatchWorkers,
    retries: Retries,
    *,
    database: Database,
    tmp_path: Path,
):
    brisk = {"lease_s": 2.0, "resend_after_s": 2.0, "job_threads": 1}
    await serve_model("slow", await asyncio.to_thread(save_slow_model, tmp_path / "slow.pkl"))
    await batch_workers.start("workers.scheduler", **brisk)
    first = await batch_workers.start(**brisk)
    job_id = await jobs.submitted(GOOD, model="slow", expires_after="1h")
    await jobs.until(job_id, lambda job: job.rows.done >= 12)
    async with database.transaction() as session:
        await session.execute(update(JobRow).values(expires_at=func.now()))
    first.kill()
    expired = await jobs.ended(job_id)
    done = {chunk.index: chunk.fence for chunk in await jobs.chunks(job_id) if chunk.part_key}

    await batch_workers.start(**brisk)
    await retries.retry(job_id)
    job = await jobs.ended(job_id)

    assert (expired.status, job.status) == (JobStatus.EXPIRED, JobStatus.SUCCEEDED), job.error
    chunks = await jobs.chunks(job_id)
    assert 1 <= len(done) < len(chunks)
    assert {chunk.index: chunk.fence for chunk in chunks if chunk.index in done} == done
    assert len((await jobs.result(job_id)).splitlines()) == 41
