"""`job.progress`: told to who asked for it, a tenth of the rows and ten seconds apart. Rows move in time."""

import json
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select, text

from shared.database.engine import Database
from shared.jobs.errors import InvalidOption
from shared.jobs.options import JobForm
from shared.jobs.telling import tell_progress
from shared.messaging.actors import DELIVER
from shared.settings import Settings
from shared.webhooks.tables import DeliveryRow
from tests.fixtures.jobs import Jobs, RunJob, ServeModel
from workers.jobs.context import JobContext
from workers.jobs.plan import plan_job

CSV = b"sepal_length,sepal_width,petal_length,petal_width\n" + b"5.1,3.5,1.4,0.2\n" * 100
URL = "http://127.0.0.1:9/hooks"


class Telling:
    """A job that runs, whose rows and clock are moved by hand."""

    def __init__(self, database: Database, settings: Settings, job_id: UUID) -> None:
        self.database, self.settings, self.job_id = database, settings, job_id

    async def told(self) -> bool:
        """Whether asking for an event makes one."""
        async with self.database.transaction() as session:
            hints = await tell_progress(session, self.job_id, settings=self.settings)
        assert [address for address, _ in hints] in ([], [DELIVER])
        return bool(hints)

    async def done(self, rows: int, *, total: int | None = 100) -> None:
        async with self.database.transaction() as session:
            await session.execute(text("UPDATE chunks SET rows_done = :rows").bindparams(rows=rows))
            await session.execute(text("UPDATE jobs SET rows_total = :total").bindparams(total=total))

    async def later(self, seconds: float) -> None:
        async with self.database.transaction() as session:
            ago = "make_interval(secs => :seconds)"
            await session.execute(
                text(
                    f"UPDATE jobs SET started_at = started_at - {ago},"  # noqa: S608  no words from outside
                    f" progress_told_at = progress_told_at - {ago}"
                ).bindparams(seconds=seconds)
            )

    async def events(self) -> list[dict]:
        async with self.database.transaction() as session:
            rows = await session.scalars(select(DeliveryRow).order_by(DeliveryRow.id))
            return [json.loads(row.body) for row in rows]


@pytest.fixture(autouse=True)
async def iris(serve_model: ServeModel, iris_on_frame: Path) -> None:
    await serve_model("iris", iris_on_frame)


@pytest.fixture
async def telling(jobs: Jobs, job_context: JobContext, database: Database, settings: Settings) -> Telling:
    job_id = await jobs.submitted(CSV, model="iris", callback_url=URL, events="job.progress")
    await plan_job(job_context, job_id)
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET status = 'running', started_at = now()"))
    return Telling(database, settings, job_id)


async def test_each_tenth_of_the_rows_is_told_but_never_sooner_than_after_ten_seconds(telling: Telling):
    await telling.done(30)
    too_early = await telling.told()
    await telling.later(10)
    first = await telling.told()
    await telling.done(39)
    await telling.later(10)
    too_few = await telling.told()
    await telling.done(40)
    second = await telling.told()
    await telling.done(100)
    too_soon = await telling.told()

    assert [too_early, first, too_few, second, too_soon] == [False, True, False, True, False]
    events = await telling.events()
    assert [event["type"] for event in events] == ["job.progress"] * 2
    assert [event["data"]["rows"]["done"] for event in events] == [30, 40]
    assert events[0]["data"]["status"] == "running"


async def test_rows_that_nobody_has_counted_are_told_of_once_a_minute(telling: Telling):
    await telling.done(1, total=None)
    await telling.later(59)
    early = await telling.told()
    await telling.later(1)
    first = await telling.told()
    await telling.later(60)
    nothing_new = await telling.told()

    assert [early, first, nothing_new] == [False, True, False]


async def test_a_job_that_did_not_ask_tells_only_of_its_end(
    jobs: Jobs, run_job: RunJob, telling: Telling, *, database: Database
):
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET tells_progress = false, status = 'queued'"))
    await telling.done(50)
    await telling.later(60)
    assert not await telling.told()

    silent = await jobs.submitted(CSV, model="iris", callback_url=URL)
    view = await run_job(silent)

    assert view.events == ["job.succeeded", "job.failed", "job.cancelled"]
    assert [event["type"] for event in await telling.events()] == ["job.succeeded"]


async def test_a_job_that_asked_is_still_told_of_its_end(jobs: Jobs, run_job: RunJob, telling: Telling):
    asked = await jobs.submitted(CSV, model="iris", callback_url=URL, events='["job.progress"]')

    view = await run_job(asked)

    assert "job.progress" in view.events
    assert [event["type"] for event in await telling.events()] == ["job.succeeded"]


@pytest.mark.parametrize(
    ("events", "url", "says"),
    [
        ("job.started", URL, "job.started"),
        ('["job.progress"', URL, "JSON"),
        ("job.progress,", URL, "may name"),
        ("job.progress", None, "`callback_url`"),
    ],
)
def test_events_that_cannot_be_told_are_refused(events: str, url: str | None, says: str):
    with pytest.raises(InvalidOption, match=says):
        JobForm(model="iris", events=events, callback_url=url).tells_progress()
