"""What happens to jobs and models reaches the webhooks of their tenant, in the same transaction."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import func, select, text, update

from shared.access.caller import Caller
from shared.catalog.service import mark_degraded, record_verdict
from shared.database.engine import Database
from shared.jobs.telling import tell_progress
from shared.settings import Settings
from shared.webhooks.model_events import tell_version
from shared.webhooks.retention import remove_old_deliveries
from shared.webhooks.tables import DeliveryRow, EndpointRow
from tests.fixtures.api import READY, REJECTED, Account, Upload
from tests.fixtures.jobs import Jobs, RunJob, ServeModel
from workers.jobs.context import JobContext
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

CSV = b"sepal_length,sepal_width,petal_length,petal_width\n" + b"5.1,3.5,1.4,0.2\n" * 100
URL = "http://127.0.0.1:9/hooks"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Jobs of some thousand rows have several chunks."""
    return msgspec.structs.replace(settings, chunk_bytes=64 * 1024)


class Listening:
    """Webhooks of one tenant, and what they are to be told."""

    def __init__(self, database: Database, tenant_id: UUID) -> None:
        self.database, self.tenant_id = database, tenant_id

    async def to(self, *events: str) -> None:
        row = EndpointRow(tenant_id=self.tenant_id, url=URL, description="", enabled=True, salt=b"salt")
        row.events = list(events)
        async with self.database.transaction() as session:
            session.add(row)

    async def events(self) -> list[dict[str, Any]]:
        async with self.database.transaction() as session:
            rows = await session.scalars(select(DeliveryRow).order_by(DeliveryRow.id))
            return [json.loads(row.body) | {"to": row.endpoint_id} for row in rows]


@pytest.fixture
def listening(database: Database, account: Account) -> Listening:
    return Listening(database, account.tenant_id)


@pytest.fixture
def callers(database: Database, caller: Caller) -> Listening:
    """Those of the owner of jobs."""
    return Listening(database, caller.tenant_id)


async def test_the_end_of_a_job_is_told_to_webhooks_and_to_its_callback_url(
    serve_model: ServeModel, iris_on_frame: Path, jobs: Jobs, run_job: RunJob, *, callers: Listening
):
    await serve_model("iris", iris_on_frame)
    await callers.to()
    await callers.to("job.failed")

    with_callback = await jobs.submitted(CSV, model="iris", callback_url=URL)
    await run_job(with_callback)
    without = await jobs.submitted(CSV, model="iris")
    await run_job(without)

    told = await callers.events()
    assert [event["type"] for event in told] == ["job.succeeded"] * 3
    assert [event["data"]["id"] for event in told] == [str(with_callback)] * 2 + [str(without)]
    assert sorted(event["to"] is None for event in told) == [False, False, True]


async def test_progress_is_told_to_webhooks_that_name_it_and_as_seldom_as_ever(
    serve_model: ServeModel,
    iris_on_frame: Path,
    jobs: Jobs,
    job_context: JobContext,
    *,
    callers: Listening,
    database: Database,
    settings: Settings,
):
    await serve_model("iris", iris_on_frame)
    await callers.to()
    job_id = await jobs.submitted(CSV, model="iris", callback_url=URL)
    await plan_job(job_context, job_id)
    started = "UPDATE jobs SET status = 'running', rows_total = 100, started_at = now() - interval '11 s'"
    async with database.transaction() as session:
        await session.execute(text(started))
        await session.execute(text("UPDATE chunks SET rows_done = 50"))

    async with database.transaction() as session:
        unnamed = await tell_progress(session, job_id, settings=settings)
    await callers.to("job.progress")
    async with database.transaction() as session:
        named = await tell_progress(session, job_id, settings=settings)
    async with database.transaction() as session:
        at_once = await tell_progress(session, job_id, settings=settings)

    assert [len(unnamed), len(named), len(at_once)] == [0, 1, 0]
    (event,) = await callers.events()
    assert event["type"] == "job.progress"
    assert event["to"] is not None  # the callback did not ask


async def test_a_batch_worker_tells_webhooks_how_far_a_job_is_that_did_not_ask_for_it(
    serve_model: ServeModel,
    iris_on_frame: Path,
    jobs: Jobs,
    job_context: JobContext,
    *,
    callers: Listening,
    database: Database,
):
    await serve_model("iris", iris_on_frame)
    await callers.to("job.progress")
    await callers.to("job.failed")
    job_id = await jobs.submitted(CSV + b"5.1,3.5,1.4,0.2\n" * 10_000, model="iris")
    await plan_job(job_context, job_id)
    async with database.transaction() as session:
        await session.execute(
            text("UPDATE jobs SET status = 'running', started_at = now() - interval '11 s'")
        )

    await run_chunk(job_context, job_id, 0)

    (event,) = await callers.events()
    assert (event["type"], event["data"]["id"]) == ("job.progress", str(job_id))
    assert event["data"]["status"] == "running"
    assert 1_000 < event["data"]["rows"]["done"] < 10_000


async def test_verdicts_and_crashes_are_told(upload: Upload, listening: Listening, database: Database):
    await listening.to()
    good, bad = await upload(), await upload()

    async with database.transaction() as session:
        for answer, verdict in ((good, READY), (bad, REJECTED)):
            await record_verdict(session, UUID(answer["version"]["id"]), verdict)
            await tell_version(session, UUID(answer["version"]["id"]))
        await mark_degraded(session, UUID(good["version"]["id"]))
        await tell_version(session, UUID(good["version"]["id"]))

    ready, rejected, degraded = await listening.events()
    assert [e["type"] for e in (ready, rejected, degraded)] == [
        "model.ready",
        "model.rejected",
        "model.degraded",
    ]
    assert ready["data"]["model"]["name"] == "iris"
    assert ready["data"]["version"]["number"] == 1
    assert ready["data"]["serving"]
    assert rejected["data"]["reason"]["code"] == "not_a_model"
    assert degraded["data"]["version"]["status"] == "degraded"


async def test_deliveries_that_ended_long_ago_are_removed(
    listening: Listening, upload: Upload, database: Database, settings: Settings
):
    await listening.to()
    version_id = UUID((await upload())["version"]["id"])
    async with database.transaction() as session:
        await record_verdict(session, version_id, READY)
        for status, days in (("delivered", 31), ("failed", 31), ("held", 29), ("pending", 31)):
            await tell_version(session, version_id)
            (newest,) = await session.scalars(select(DeliveryRow.id).order_by(DeliveryRow.id.desc()).limit(1))
            row = update(DeliveryRow).where(DeliveryRow.id == newest)
            await session.execute(row.values(status=status, created_at=func.now() - timedelta(days=days)))

    async with database.transaction() as session:
        await remove_old_deliveries(session, settings)

    async with database.transaction() as session:
        left = set(await session.scalars(select(DeliveryRow.status)))
    assert left == {"held", "pending"}
