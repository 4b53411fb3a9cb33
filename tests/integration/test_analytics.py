"""How a model was used, from the request that is counted to the report that its owner reads."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from httpx import AsyncClient, Response
from sqlalchemy import func, select, text, update

from shared.analytics import outcome
from shared.analytics.recorder import Recorder
from shared.analytics.service import fold_minutes, forget_old_counts
from shared.analytics.tables import CountsRow
from shared.database.engine import Database
from shared.settings import Settings
from tests.fixtures.api import Account, Upload

NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
RANGE = {"from": "2026-03-01T11:00:00Z", "to": "2026-03-01T13:00:00Z"}


class Model:
    """A model that is asked, and reported on."""

    def __init__(self, uploaded: dict, client: AsyncClient, account: Account) -> None:
        self.model_id, self.version_id = UUID(uploaded["id"]), UUID(uploaded["version"]["id"])
        self._client, self._account = client, account

    def asked(self, recorder: Recorder, end: str = outcome.OK, *, times: int = 1, **changes) -> None:
        usual = {"rows": 1, "cached": False, "queue_us": 300, "compute_us": 100, "total_us": 1000}
        for _ in range(times):
            recorder.record(self.model_id, self.version_id, end, **usual | changes)

    async def report(self, account: Account | None = None, **query: str) -> Response:
        return await self._client.get(
            "/api/v1/models/iris/analytics", params=query, headers=(account or self._account).headers
        )


@pytest.fixture
async def model(served: Upload, client: AsyncClient, account: Account) -> Model:
    return Model(await served("iris"), client, account)


@pytest.fixture
def recorder(settings: Settings, database: Database) -> Recorder:
    return Recorder(settings, database, now=lambda: NOON)


@pytest.fixture
async def cut_off(settings: Settings) -> AsyncIterator[Recorder]:
    """A recorder whose PostgreSQL does not answer."""
    database = Database("postgresql+asyncpg://nobody@/nothing?host=/nowhere")
    yield Recorder(settings, database, now=lambda: NOON)
    await database.close()


async def kept(database: Database) -> list[CountsRow]:
    async with database.transaction() as session:
        return list(await session.scalars(select(CountsRow).order_by(CountsRow.start)))


async def test_the_report_tells_what_was_counted(model, recorder):
    model.asked(recorder, times=98, rows=2)
    model.asked(recorder, cached=True, compute_us=0, total_us=200)
    model.asked(recorder, outcome.TIMEOUT, compute_us=0, total_us=5_000_000)
    await recorder.flush()

    report = (await model.report(**RANGE)).json()

    totals = report["totals"]
    assert (report["model"], report["step"], report["from"]) == ("iris", "minute", "2026-03-01T11:00:00Z")
    assert (totals["requests"], totals["rows"], totals["cache_hits"]) == (100, 197, 1)
    assert totals["by_outcome"] == dict.fromkeys(outcome.OUTCOMES, 0) | {"ok": 99, "timeout": 1}
    assert totals["error_rate"] == 0.01
    assert totals["total_ms"]["p50"] == pytest.approx(1.0, rel=0.1)
    assert totals["total_ms"]["mean"] == pytest.approx((98 * 1 + 0.2 + 5000) / 100)
    assert totals["queue_ms"]["p99"] == pytest.approx(0.3, rel=0.1)
    assert totals["compute_ms"]["mean"] == 0.1
    [point] = report["series"]
    assert (point["start"], point["version"], point["requests"]) == ("2026-03-01T12:00:00Z", 1, 100)
    assert point["total_ms"]["p99"] == pytest.approx(1.0, rel=0.1)


async def test_a_model_that_nobody_asked_has_zeros(model):
    report = (await model.report()).json()

    assert report["series"] == []
    assert report["totals"]["requests"] == 0
    assert report["totals"]["by_outcome"] == dict.fromkeys(outcome.OUTCOMES, 0)
    assert report["totals"]["total_ms"] == {"p50": 0, "p90": 0, "p99": 0, "mean": 0}


async def test_processes_add_to_the_same_minute(model, settings, database):
    recorders = [Recorder(settings, database, now=lambda: NOON) for _ in range(4)]
    for number, recorder in enumerate(recorders):
        model.asked(recorder, times=10, total_us=1000 * 4**number)

    for _ in range(3):
        await asyncio.gather(*(recorder.flush() for recorder in recorders))

    [row] = await kept(database)
    assert (row.seconds, row.rows, sum(row.total), row.outcomes[0]) == (60, 40, 40, 40)
    assert row.total_us == 10 * (1000 + 4000 + 16000 + 64000)
    assert sorted(n for n in row.total if n) == [10, 10, 10, 10]


async def test_versions_have_points_of_their_own(model, recorder, served):
    second = await served("iris")
    model.asked(recorder, times=2)
    recorder.record(
        model.model_id,
        UUID(second["version"]["id"]),
        outcome.OK,
        rows=1,
        cached=False,
        queue_us=1,
        compute_us=1,
        total_us=1,
    )
    await recorder.flush()

    both, one = (await model.report(**RANGE)).json(), (await model.report(**RANGE, version="2")).json()

    assert [(point["version"], point["requests"]) for point in both["series"]] == [(1, 2), (2, 1)]
    assert (both["totals"]["requests"], one["totals"]["requests"]) == (3, 1)


async def test_steps_gather_what_is_in_them(model, settings, database):
    for minutes in (0, 1, 59, 60):
        at = NOON + timedelta(minutes=minutes)
        recorder = Recorder(settings, database, now=lambda at=at: at)
        model.asked(recorder)
        await recorder.flush()

    by_hour = (await model.report(**RANGE | {"to": "2026-03-01T14:00:00Z"}, step="hour")).json()
    by_day = (await model.report(**RANGE | {"to": "2026-03-02T00:00:00Z"}, step="day")).json()

    assert [(point["start"], point["requests"]) for point in by_hour["series"]] == [
        ("2026-03-01T12:00:00Z", 3),
        ("2026-03-01T13:00:00Z", 1),
    ]
    assert [(point["start"], point["requests"]) for point in by_day["series"]] == [
        ("2026-03-01T00:00:00Z", 4)
    ]


async def test_another_tenants_model_is_not_there(model, stranger):
    answer = await model.report(stranger)

    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")


async def test_a_version_that_is_not_there_is_said_to_be(model):
    answer = await model.report(version="7")

    assert (answer.status_code, answer.json()["code"]) == (404, "version_not_found")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"from": "2020-01-01T00:00:00Z"}, "invalid_time_range"),
        ({"from": "0001-01-01T00:00:00+14:00"}, "invalid_time_range"),
        ({"to": "0001-01-01T00:00:00Z"}, "invalid_time_range"),
        ({"from": "2026-03-01T12:00:00Z", "to": "2026-03-01T11:00:00Z"}, "invalid_time_range"),
        ({"from": "yesterday"}, "invalid_input"),
        ({"step": "week"}, "invalid_input"),
        ({"version": "0"}, "invalid_input"),
        ({"version": str(2**40)}, "invalid_input"),
    ],
)
async def test_what_cannot_be_reported_is_refused(model, query, code):
    answer = await model.report(**query)

    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_counts_wait_while_postgres_is_away(model, cut_off, database):
    model.asked(cut_off, times=3)
    await cut_off.flush()
    model.asked(cut_off, times=2)
    await cut_off.flush()
    assert await kept(database) == []

    cut_off._database = database  # it is back
    await cut_off.flush()

    assert [row.rows for row in await kept(database)] == [5]


async def test_it_flushes_by_itself_and_at_the_end(model, settings, database):
    recorder = Recorder(settings, database)
    await recorder.start()
    model.asked(recorder)
    async with asyncio.timeout(10):
        while not await kept(database):
            await asyncio.sleep(0.05)

    model.asked(recorder, times=4)
    await recorder.close()

    assert sum(row.rows for row in await kept(database)) == 5


async def test_counts_of_a_deleted_model_hold_up_nobody(model, recorder, client, account, served, database):
    other = Model(await served("other"), client, account)
    model.asked(recorder)
    other.asked(recorder)
    await client.delete("/api/v1/models/iris", headers=account.headers)

    await recorder.flush()

    assert [row.version_id for row in await kept(database)] == [other.version_id]


async def test_old_minutes_become_hours_once(model, recorder, database):
    moments = [NOON, NOON + timedelta(minutes=7), NOON + timedelta(hours=2)]
    for at in moments:
        recorder._since = at
        model.asked(recorder, times=2)
        await recorder.flush()
    before = (await model.report(**RANGE)).json()["totals"]

    async def fold() -> None:
        async with database.transaction() as session:
            await fold_minutes(session, minutes_days=14)

    await asyncio.gather(fold(), fold())
    await fold()

    rows = await kept(database)
    assert [(row.start.hour, row.start.minute, row.seconds, row.rows) for row in rows] == [
        (12, 0, 3600, 4),
        (14, 0, 3600, 2),
    ]
    assert (await model.report(**RANGE)).json()["totals"] == before


async def test_a_minute_that_comes_late_is_added_to_its_hour(model, recorder, database):
    for _ in range(2):
        model.asked(recorder)
        await recorder.flush()
        async with database.transaction() as session:
            await fold_minutes(session, minutes_days=14)

    assert [(row.seconds, row.rows) for row in await kept(database)] == [(3600, 2)]


async def test_young_minutes_stay_and_what_is_very_old_goes(model, settings, database):
    recorder = Recorder(settings, database)
    model.asked(recorder)
    await recorder.flush()
    async with database.transaction() as session:
        await fold_minutes(session, minutes_days=14)
        await forget_old_counts(session)
    assert [row.seconds for row in await kept(database)] == [60]

    async with database.transaction() as session:
        await session.execute(update(CountsRow).values(start=func.now() - text("interval '401 days'")))
        await forget_old_counts(session)

    assert await kept(database) == []


async def test_switched_off_it_counts_nothing(model, settings, database):
    silent = Recorder(msgspec.structs.replace(settings, statistics=False), database)

    model.asked(silent)
    await silent.flush()

    assert await kept(database) == []
