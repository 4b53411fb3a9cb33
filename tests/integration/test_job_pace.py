"""The pace of a job as PostgreSQL knows it, from chunks that were done at a pace that is made up."""

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from shared.database.engine import Database
from tests.fixtures.jobs import Jobs, ServeModel
from workers.jobs.context import JobContext
from workers.jobs.plan import plan_job

ROW = b"5.1,3.5,1.4,0.2\n"
CSV = b"sepal_length,sepal_width,petal_length,petal_width\n" + ROW * 4_000


async def test_rate_and_end_follow_from_the_chunks_that_were_counted_last(
    jobs: Jobs, job_context: JobContext, database: Database, *, serve_model: ServeModel, iris_on_frame: Path
):
    """Of a CSV file, whose rows nobody has counted: they are expected by the size of what is done."""
    await serve_model("iris", iris_on_frame)
    job_id = await jobs.submitted(CSV, model="iris")
    settings = msgspec.structs.replace(job_context.settings, chunk_bytes=len(CSV) // 4)
    await plan_job(msgspec.structs.replace(job_context, settings=settings), job_id)
    assert len(await jobs.chunks(job_id)) == 4
    queued = await jobs.get(job_id)
    async with database.transaction() as session:
        await session.execute(
            text("UPDATE jobs SET status = 'running', started_at = now() - interval '20 seconds'")
        )
        for index in (0, 1):
            await session.execute(
                text(
                    "UPDATE chunks SET status = 'done', rows_done = 1000,"
                    " started_at = now() - make_interval(secs => :ago),"
                    " counted_at = now() - make_interval(secs => :ago - 10) WHERE index = :index"
                ).bindparams(ago=20.0 - 10 * index, index=index)
            )

    running = await jobs.get(job_id)

    assert (queued.rows_per_second, queued.estimated_end_at) == (None, None)
    assert running.rows_per_second == pytest.approx(100, rel=0.2)
    assert running.estimated_end_at is not None
    assert running.started_at is not None
    assert (running.estimated_end_at - running.started_at).total_seconds() == pytest.approx(40, rel=0.2)
    assert running.rows.total is None
