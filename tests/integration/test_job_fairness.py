"""Several jobs and workers, as real processes: who is served first, and that nothing is done twice."""

import asyncio
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries
from dramatiq.middleware.asyncio import AsyncIO
from sqlalchemy import select

from shared.access.tables import Tenant
from shared.catalog.tables import ModelRow, VersionRow
from shared.database.engine import Database
from shared.ids import new_id
from shared.jobs.chunk_hints import RUN_CHUNKS
from shared.jobs.job import JobStatus, Priority
from shared.jobs.service import JobService
from shared.jobs.submission import JobSubmissions
from shared.jobs.tables import ChunkRow
from shared.messaging.actors import (
    FINISH_JOB,
    HIGH_QUEUE,
    JOBS_QUEUE,
    LOW_QUEUE,
    NORMAL_QUEUE,
    PLAN_JOB,
    RUN_HIGH,
    RUN_LOW,
    RUN_NORMAL,
)
from shared.messaging.broker import Messenger
from shared.settings import Settings
from shared.storage.store import Storage
from tests.fixtures.jobs import BatchWorkers, Jobs, ServeModel
from tests.fixtures.slow import COLUMNS, save_slow_model
from workers.jobs.actors import declare_actors
from workers.jobs.context import JobContext
from workers.jobs.early_joins import EarlyJoins
from workers.jobs.next_chunk import ChunkTurns
from workers.jobs.plan import plan_job

HEADER = ",".join(COLUMNS) + "\n"


def table(rows: int) -> bytes:
    return (HEADER + "".join(f"{row:05},2,3\n" for row in range(rows))).encode()


def in_chunks(content: bytes, chunks: int) -> int:
    """The `chunk_bytes` that cut a table into so many: a chunk ends with the row that reaches beyond it."""
    return (len(content) - len(HEADER)) // chunks - 1


@pytest.fixture
async def slow(serve_model: ServeModel, tmp_path: Path) -> VersionRow:
    return await serve_model("slow", save_slow_model(tmp_path / "slow.pkl"))


@pytest.fixture
async def other_jobs(
    slow: VersionRow,
    job_submissions: JobSubmissions,
    job_service: JobService,
    database: Database,
    *,
    settings: Settings,
    storage: Storage,
) -> Jobs:
    """Those of another tenant, who has uploaded the same model."""
    async with database.transaction() as session:
        tenant = Tenant(name="Bea", webhook_salt=b"salt")
        session.add(tenant)
        await session.flush()
        model = ModelRow(tenant_id=tenant.id, name="slow", last_version_number=1)
        session.add(model)
        await session.flush()
        same = {
            name: getattr(slow, name) for name in {*VersionRow.__table__.columns.keys()} - {"id", "model_id"}
        }
        version = VersionRow(id=new_id(), model_id=model.id, **same)
        session.add(version)
        await session.flush()
    folder = Path(settings.storage_url.removeprefix("file://"))
    return Jobs(job_submissions, job_service, database, storage=storage, folder=folder, tenant_id=tenant.id)


async def done_before(database: Database, job_id: UUID, other: UUID) -> int:
    """How many chunks of a job were done when the last of another was."""
    async with database.transaction() as session:
        end = select(ChunkRow.counted_at).where(ChunkRow.job_id == other).order_by(ChunkRow.counted_at.desc())
        last = await session.scalar(end.limit(1))
        chunks = await session.scalars(
            select(ChunkRow.index).where(ChunkRow.job_id == job_id, ChunkRow.counted_at < last)
        )
        return len(list(chunks))


async def under_way(jobs: Jobs, job_id: UUID, chunks: int) -> None:
    """Returns when so many chunks of the job are done."""
    async with asyncio.timeout(60):
        while sum(chunk.status == "done" for chunk in await jobs.chunks(job_id)) < chunks:
            await asyncio.sleep(0.02)


async def test_a_short_job_ends_before_half_of_a_long_one_whosever_it_is(
    jobs: Jobs, other_jobs: Jobs, batch_workers: BatchWorkers, database: Database
):
    content = table(60)
    await batch_workers.start(job_threads=1, chunk_bytes=in_chunks(content, 60))
    long = await jobs.submitted(content, model="slow")
    await under_way(jobs, long, 3)

    own = await jobs.submitted(table(1), model="slow")
    others = await other_jobs.submitted(table(1), model="slow", version=1)

    assert (await other_jobs.ended(others)).status is JobStatus.SUCCEEDED
    assert (await jobs.ended(own)).status is JobStatus.SUCCEEDED
    assert (await jobs.ended(long)).status is JobStatus.SUCCEEDED
    assert len(await jobs.chunks(long)) == 60
    assert await done_before(database, long, others) < 30
    assert await done_before(database, long, own) < 30


async def sent_again(messenger: Messenger, priorities: Sequence[Priority], times: int) -> None:
    for priority in priorities:
        for _ in range(times):
            await messenger.send(RUN_CHUNKS[priority])


@pytest.mark.usefixtures("slow")
async def test_two_workers_that_race_for_every_chunk_count_each_row_once(
    jobs: Jobs, batch_workers: BatchWorkers, messenger: Messenger
):
    """Under messages twice as many as there are chunks, more than a job sends at once."""
    content = table(240)
    settings = {"chunk_bytes": in_chunks(content, 120), "job_threads": 3}
    for _ in range(2):
        await batch_workers.start(**settings)
    await sent_again(messenger, [Priority.NORMAL], 40)

    job_id = await jobs.submitted(content, model="slow", output_format="csv")
    await under_way(jobs, job_id, 1)
    await sent_again(messenger, [*Priority], 60)

    job = await jobs.ended(job_id)
    chunks = await jobs.chunks(job_id)
    assert (job.status, job.rows.done, job.rows.total) == (JobStatus.SUCCEEDED, 240, 240)
    assert len(chunks) == 120
    assert {chunk.attempts for chunk in chunks} == {1}
    rows = list(csv.DictReader(io.StringIO((await jobs.result(job_id)).decode())))
    assert [int(row["a"]) for row in rows] == list(range(240))
    assert [float(row["prediction"]) for row in rows] == [row + 5 for row in range(240)]


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize(("cap", "sent"), [(0, 0), (1, 1)])
async def test_the_end_of_a_chunk_asks_for_the_next_of_a_tenant_that_is_capped(
    jobs: Jobs,
    job_context: JobContext,
    early_joins: EarlyJoins,
    messenger: Messenger,
    *,
    cap: int,
    sent: int,
):
    """Messages that find it at its cap are gone, while without a cap there is one for each chunk already."""
    content = table(4)
    settings = msgspec.structs.replace(
        job_context.settings, job_chunks_per_tenant=cap, chunk_bytes=in_chunks(content, 4)
    )
    context = msgspec.structs.replace(job_context, settings=settings)
    await plan_job(context, await jobs.submitted(content, model="slow"))
    planned = await messenger.waiting(NORMAL_QUEUE)

    await ChunkTurns(context, early_joins).run_next(Priority.NORMAL)

    assert planned == 4
    assert await messenger.waiting(NORMAL_QUEUE) == 4 + sent


@pytest.mark.usefixtures("slow")
async def test_a_message_that_served_another_priority_is_sent_on(
    jobs: Jobs, job_context: JobContext, early_joins: EarlyJoins, messenger: Messenger
):
    await plan_job(job_context, await jobs.submitted(table(1), model="slow", priority="high"))

    await ChunkTurns(job_context, early_joins).run_next(Priority.LOW)

    assert await messenger.waiting(LOW_QUEUE) == 1


@pytest.mark.parametrize(
    ("served", "queues"),
    [
        ("high,normal,low", {JOBS_QUEUE, HIGH_QUEUE, NORMAL_QUEUE, LOW_QUEUE}),
        ("high", {JOBS_QUEUE, HIGH_QUEUE}),
        ("low,normal", {JOBS_QUEUE, NORMAL_QUEUE, LOW_QUEUE}),
    ],
)
def test_a_worker_reads_the_queues_of_its_priorities(
    job_context: JobContext, early_joins: EarlyJoins, served: str, queues: set[str]
):
    broker = StubBroker(middleware=[Retries(), AsyncIO()])
    settings = msgspec.structs.replace(job_context.settings, job_queues=served)

    context = msgspec.structs.replace(job_context, settings=settings)
    declare_actors(broker, context, early_joins=early_joins)

    delayed = {f"{queue}.DQ" for queue in queues}  # of each, for retries
    assert broker.get_declared_queues() == queues | delayed
    declared = {(name, broker.get_actor(name).queue_name) for name in broker.get_declared_actors()}
    known = [PLAN_JOB, FINISH_JOB, RUN_HIGH, RUN_NORMAL, RUN_LOW]
    assert declared == {(address.actor, address.queue) for address in known if address.queue in queues}
