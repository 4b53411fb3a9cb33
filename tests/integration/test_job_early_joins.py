"""Jobs whose first parts are joined while later chunks run: the same bytes, whoever joins them, and when."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pandas as pd
import pytest
from sqlalchemy import func, update

from shared.database.engine import Database
from shared.jobs.claims import StepClaim
from shared.jobs.early_join import claim_early_join, joinable_parts
from shared.jobs.job import ErrorsFormat, JobError, JobStatus, result_key
from shared.jobs.outcomes import hand_back, record_failure
from shared.jobs.tables import JobRow
from tests.fixtures.jobs import Jobs, ServeModel
from tests.fixtures.slow import COLUMNS, save_slow_model
from workers.jobs.context import JobContext
from workers.jobs.early_joins import EarlyJoins
from workers.jobs.finish import finish_claimed, finish_job
from workers.jobs.holding import StopSign
from workers.jobs.joining import Joined
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

CHUNKS, ROWS_A_CHUNK = 4, 3
BROKEN_ROW = 7
Planned = Callable[..., Awaitable[UUID]]


def numbers() -> pd.DataFrame:
    rows = CHUNKS * ROWS_A_CHUNK
    return pd.DataFrame({column: [at + row / 8 for row in range(rows)] for at, column in enumerate(COLUMNS)})


def as_parquet() -> bytes:
    file = io.BytesIO()
    numbers().to_parquet(file, index=False, row_group_size=ROWS_A_CHUNK)
    return file.getvalue()


def as_csv(*, broken: bool = False) -> bytes:
    """Each row as long as the others, so that chunks are of so many rows."""
    lines = numbers().to_csv(index=False, float_format="%07.3f").splitlines()
    if broken:
        lines[1 + BROKEN_ROW] = "oh,no,no".ljust(len(lines[1]), "!")
    return "\n".join([*lines, ""]).encode()


@pytest.fixture
async def planned(jobs: Jobs, job_context: JobContext, serve_model: ServeModel, tmp_path: Path) -> Planned:
    """Submits a job and cuts it into CHUNKS chunks."""
    await serve_model("slow", save_slow_model(tmp_path / "slow.pkl"))

    async def plan(content: bytes, **form: str) -> UUID:
        job_id = await jobs.submitted(content, model="slow", **form)
        chunk_bytes = 1 if content[:4] == b"PAR1" else ROWS_A_CHUNK * content.rindex(b"\n") // 13
        settings = msgspec.structs.replace(job_context.settings, chunk_bytes=chunk_bytes)
        await plan_job(msgspec.structs.replace(job_context, settings=settings), job_id)
        assert len(await jobs.chunks(job_id)) == CHUNKS
        return job_id

    return plan


@pytest.fixture
def claimed_early(
    job_context: JobContext, database: Database
) -> Callable[[UUID], Awaitable[StepClaim | None]]:
    async def claim(job_id: UUID) -> StepClaim | None:
        async with database.transaction() as session:
            return await claim_early_join(session, job_id, settings=job_context.settings)

    return claim


ClaimedEarly = Callable[[UUID], Awaitable[StepClaim | None]]


async def run_chunks(context: JobContext, job_id: UUID, *indexes: int) -> None:
    for index in indexes:
        await run_chunk(context, job_id, index)


async def begun(early_joins: EarlyJoins, jobs: Jobs, job_id: UUID) -> None:
    """Has the job joined from now on."""
    early_joins.tell(job_id)
    async with asyncio.timeout(30):
        while not (await jobs.row(job_id)).attempts:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (as_parquet(), {}),
        (as_csv(), {}),
        (as_csv(), {"output_format": "parquet"}),
        (as_csv(broken=True), {"on_error": "skip"}),
    ],
    ids=["parquet", "csv", "csv-to-parquet", "skipping"],
)
async def test_a_job_that_is_joined_early_has_the_bytes_of_one_that_is_not(
    planned: Planned, jobs: Jobs, job_context: JobContext, early_joins: EarlyJoins, content: bytes, form: dict
):
    late = await planned(content, **form)
    await run_chunks(job_context, late, 0, 1, 2, 3)
    await finish_job(job_context, late)

    early = await planned(content, **form)
    await run_chunks(job_context, early, 0)
    await begun(early_joins, jobs, early)
    await run_chunks(job_context, early, 3, 1)  # the last before its turn
    seen = jobs.stored(early)
    await run_chunks(job_context, early, 2)
    early_joins.tell(early)
    job = await jobs.ended(early)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert not any("/result." in key for key in seen)
    assert await jobs.result(early) == await jobs.result(late)
    assert (await jobs.row(early)).result_digest == (await jobs.row(late)).result_digest
    if form.get("on_error"):
        assert await jobs.errors(early, ErrorsFormat.CSV) == await jobs.errors(late, ErrorsFormat.CSV) != b""


async def test_parts_are_told_of_in_the_order_of_the_input(
    planned: Planned, jobs: Jobs, job_context: JobContext, database: Database
):
    job_id = await planned(as_parquet())

    seen: list[str | None] = []
    told = []
    for index in (1, 0, 3, 2):
        await run_chunks(job_context, job_id, index)
        async with database.transaction() as session:
            found = await joinable_parts(session, job_id, known=len(seen))
        seen += found.keys
        told.append(len(found.keys))

    parts = [chunk.part_key for chunk in await jobs.chunks(job_id)]
    assert (told, seen) == ([0, 2, 0, 2], parts)
    assert found.errors == []


async def test_a_job_is_claimed_early_by_one_worker_and_once(
    planned: Planned, job_context: JobContext, claimed_early: ClaimedEarly
):
    job_id = await planned(as_csv())

    before_its_first_part = await claimed_early(job_id)
    await run_chunks(job_context, job_id, 0)
    claims = [await claimed_early(job_id) for _ in range(2)]

    assert before_its_first_part is None
    assert [claim is not None for claim in claims] == [True, False]


async def test_who_joins_early_goes_on_to_finish_the_job(
    planned: Planned, jobs: Jobs, job_context: JobContext, claimed_early: ClaimedEarly, database: Database
):
    job_id = await planned(as_csv())
    await run_chunks(job_context, job_id, 0)
    claim = await claimed_early(job_id)
    assert claim is not None

    await run_chunks(job_context, job_id, 1, 2, 3)
    await finish_job(job_context, job_id)  # what the message of the last chunk asks for
    held = await jobs.row(job_id)
    async with database.transaction() as session:
        hints = await hand_back(session, claim)
    await finish_job(job_context, job_id)

    assert (held.status, held.fence) == (JobStatus.FINALIZING, claim.fence)
    assert len(hints) == 1
    assert (await jobs.get(job_id)).status is JobStatus.SUCCEEDED


async def test_a_joiner_that_is_lost_leaves_the_job_to_be_finished_and_publishes_nothing_late(
    planned: Planned, jobs: Jobs, job_context: JobContext, claimed_early: ClaimedEarly, database: Database
):
    job_id = await planned(as_csv())
    await run_chunks(job_context, job_id, 0)
    zombie = await claimed_early(job_id)
    assert zombie is not None
    async with database.transaction() as session:
        lapsed = func.now() - timedelta(seconds=1)
        await session.execute(update(JobRow).where(JobRow.id == job_id).values(lease_until=lapsed))

    again = await claimed_early(job_id)
    await run_chunks(job_context, job_id, 1, 2, 3)
    await finish_job(job_context, job_id)
    result, stored = await jobs.result(job_id), jobs.stored(job_id)

    async def late(_: StopSign) -> Joined:
        with job_context.storage.writer(result_key(job_id, fence=zombie.fence)) as sink:
            sink.write(b"late")
        return Joined(sink.written(), None)

    assert again is None  # what ended one joiner shall not end others
    assert not await finish_claimed(job_context, zombie, late)
    assert await jobs.result(job_id) == result
    assert jobs.stored(job_id) == stored


async def test_what_cannot_be_joined_early_does_not_fail_the_job(
    planned: Planned, jobs: Jobs, job_context: JobContext, claimed_early: ClaimedEarly, database: Database
):
    job_id = await planned(as_csv())
    await run_chunks(job_context, job_id, 0)
    claim = await claimed_early(job_id)
    assert claim is not None

    async with database.transaction() as session:
        error = JobError(code="parts_do_not_fit", message="they do not")
        hints = await record_failure(session, claim, error, settings=job_context.settings)
    row = await jobs.row(job_id)

    assert (hints, row.status, row.lease_until) == ([], JobStatus.RUNNING, None)


async def test_a_job_that_is_cancelled_while_it_is_joined_keeps_what_was_finished(
    planned: Planned, jobs: Jobs, job_context: JobContext, early_joins: EarlyJoins
):
    job_id = await planned(as_csv())
    await run_chunks(job_context, job_id, 0)
    await begun(early_joins, jobs, job_id)

    await jobs.cancel(job_id)
    await early_joins.close()
    await finish_job(job_context, job_id)

    row = await jobs.row(job_id)
    results = [key for key in jobs.stored(job_id) if "/result." in key]
    assert row.status == JobStatus.CANCELLED
    assert (results, row.result_rows) == ([row.result_key], ROWS_A_CHUNK)
