"""Schedules, as their owners ask for them and as the leader's duty submits what is due."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from httpx import AsyncClient, Response
from litestar import Litestar
from redis.asyncio import Redis
from sqlalchemy import delete, func, select, text, update

from shared.catalog.tables import ModelRow
from shared.database.engine import Database
from shared.jobs.job import input_key
from shared.jobs.tables import JobRow
from shared.messaging.broker import Messenger
from shared.schedules.due import DueSchedules
from shared.schedules.lookup import take_due
from shared.schedules.scheduled_jobs import ScheduledJobs
from shared.schedules.tables import ScheduleRow
from shared.settings import Settings
from shared.storage.errors import StorageAway
from shared.storage.store import Storage
from tests.fixtures.api import Account, MakeAccount, Upload
from tests.integration.test_duties import messages
from workers.duties import all_duties

ROWS = {"rows": [{"sepal_length": 5.1, "sepal_width": 3.5}, [1.50, 2]]}
URL = {"url": "https://ada:secret@example.com/in/{date}/{hour}.csv?sig=secret"}


@pytest.fixture
def due(
    settings: Settings, database: Database, redis: Redis, messenger: Messenger, storage: Storage
) -> Callable[[], Any]:
    """The duty of one leader."""
    duties = all_duties(settings, database=database, redis=redis, messenger=messenger, storage=storage)
    return {duty.name: duty for duty in duties}["submit_due_schedules"].run


class Owner:
    """Somebody with a model, who makes schedules."""

    def __init__(self, client: AsyncClient, account: Account, database: Database) -> None:
        self._client, self.account, self._database = client, account, database

    async def call(self, method: str, path: str = "", body: Any = None) -> Response:
        path = f"/api/v1/schedules{path}"
        return await self._client.request(method, path, json=body, headers=self.account.headers)

    async def makes(self, given: Any = None, **fields: Any) -> dict[str, Any]:
        answer = await self.call("POST", body=asked(given, **fields))
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def sees(self, schedule: str = "nightly") -> dict[str, Any]:
        return (await self.call("GET", f"/{schedule}")).json()

    async def jobs(self, schedule: str = "nightly") -> list[dict[str, Any]]:
        answer = await self._client.get(
            "/api/v1/jobs", params={"schedule": schedule}, headers=self.account.headers
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    async def waits_until(self, due: datetime, schedule: str = "nightly") -> None:
        """Let the schedule have been due then."""
        async with self._database.transaction() as session:
            where = (ScheduleRow.name == schedule, ScheduleRow.tenant_id == self.account.tenant_id)
            await session.execute(update(ScheduleRow).where(*where).values(next_run_at=due))

    async def ends_jobs(self) -> None:
        async with self._database.transaction() as session:
            await session.execute(update(JobRow).values(status="failed", ended_at=func.now()))


@pytest.fixture
async def owner(client: AsyncClient, account: Account, database: Database, served: Upload) -> Owner:
    await served("iris")
    return Owner(client, account, database)


def asked(given: Any = None, **fields: Any) -> dict[str, Any]:
    job = {"model": "iris", "input": ROWS if given is None else given}
    start = {"name": "nightly", "job": job}
    return start | ({} if "run_at" in fields else {"cron": "@hourly"}) | fields


def this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


async def test_a_schedule_is_shown_without_what_is_secret_or_large(owner: Owner):
    made = await owner.makes(URL, cron="30 2  * * *", timezone="Europe/Berlin", overlap="allow")
    rows = await owner.makes(name="rows")

    assert made["job"]["input"] == {"url": "https://example.com/in/{date}/{hour}.csv"}
    assert rows["job"]["input"] == {"rows_total": 2}
    assert (made["cron"], made["run_at"], made["timezone"]) == ("30 2 * * *", None, "Europe/Berlin")
    assert (made["enabled"], made["overlap"], made["last_job"], made["last_error"]) == (
        True,
        "allow",
        None,
        None,
    )
    assert datetime.fromisoformat(made["next_run_at"]) > datetime.now(UTC)
    assert await owner.sees(made["id"]) == await owner.sees("nightly") == made
    assert "secret" not in (await owner.call("GET")).text


async def test_schedules_are_listed_in_pages(owner: Owner):
    for name in "abc":
        await owner.makes(name=name)

    first = (await owner.call("GET", "?limit=2")).json()
    second = (await owner.call("GET", f"?limit=2&cursor={first['next_cursor']}")).json()

    assert [item["name"] for item in first["items"] + second["items"]] == ["c", "b", "a"]
    assert second["next_cursor"] is None


UPLOAD_ID = "0198c1de-4a64-7c3a-9d3c-1f0e5a7c2b11"


def with_job(model: str = "iris", given: Any = None, **options: Any) -> dict[str, Any]:
    return asked(job={"model": model, "input": given or URL} | options)


REFUSED = [
    (asked(name="a/b"), 422, "invalid_schedule", "/name"),
    (asked(name=UPLOAD_ID), 422, "invalid_schedule", "/name"),
    (asked(cron="61 * * * *"), 422, "invalid_schedule", "/cron"),
    (asked(cron=None), 422, "invalid_schedule", "/cron"),
    (asked(run_at="2020-01-01T00:00:00Z"), 422, "invalid_schedule", "/run_at"),
    (asked(run_at="tomorrow"), 422, "invalid_input", "/run_at"),
    (asked(timezone="Berlin"), 422, "invalid_schedule", "/timezone"),
    (asked(overlap="queue"), 422, "invalid_input", "/overlap"),
    (asked(every="day"), 422, "invalid_input", ""),
    (asked({"upload_id": UPLOAD_ID}), 422, "invalid_schedule", "/job/input/upload_id"),
    (asked({"url": "https://example.com/{week}"}), 422, "invalid_schedule", "/job/input/url"),
    (asked({"url": "ftp://example.com/{date}"}), 422, "input_url_refused", "/job/input/url"),
    (asked({"rows": []}), 422, "invalid_input", "/job/input/rows"),
    (with_job(given=ROWS, format="csv"), 422, "invalid_option", "/job/format"),
    (with_job(output={"format": "arrow"}), 422, "invalid_option", "/job/output/format"),
    (with_job(expires_after="never"), 422, "invalid_option", "/job/expires_after"),
    (with_job(colour=1), 422, "invalid_input", "/job"),
    (with_job("roses"), 404, "model_not_found", None),
    (with_job(version=9), 404, "version_not_found", None),
    ([], 422, "invalid_input", ""),
    (asked({"rows": [[0] * 600_000]}), 413, "too_large", None),
]


async def test_what_does_not_fit_is_refused_where_it_stands(owner: Owner):
    answers = [(await owner.call("POST", body=body)).json() for body, *_ in REFUSED]

    found = [
        (a["status"], a["code"], a["errors"][0].get("pointer") if a["errors"] else None) for a in answers
    ]
    assert found == [tuple(expected) for _, *expected in REFUSED]
    assert "secret" not in str(answers)
    assert (await owner.call("GET")).json()["items"] == []


async def test_names_are_taken_once_and_schedules_are_so_many(
    owner: Owner, app: Litestar, settings: Settings
):
    app.state.schedules._settings = msgspec.structs.replace(settings, max_schedules=2)
    await owner.makes()
    await owner.makes(name="other")

    renamed = await owner.call("PATCH", "/other", {"name": "nightly"})
    more = await owner.call("POST", body=asked(name="third"))

    assert (renamed.status_code, renamed.json()["code"]) == (409, "schedule_name_taken")
    assert (more.status_code, more.json()["code"]) == (409, "too_many_schedules")


async def test_another_tenants_schedule_is_not_there(
    owner: Owner, client: AsyncClient, make_account: MakeAccount, database: Database
):
    made = await owner.makes()
    stranger = Owner(client, await make_account(), database)

    answers = [
        await stranger.call(method, path, body)
        for name in (made["id"], "nightly")
        for method, path, body in (
            ("GET", f"/{name}", None),
            ("PATCH", f"/{name}", {"enabled": False}),
            ("DELETE", f"/{name}", None),
            ("POST", f"/{name}/run", None),
        )
    ]

    assert {(a.status_code, a.json()["code"]) for a in answers} == {(404, "schedule_not_found")}
    assert await owner.sees() == made


async def test_changes_count_the_next_time_anew_and_leave_the_rest(owner: Owner):
    made = await owner.makes(cron="0 12 1 1 *")

    moved = (await owner.call("PATCH", "/nightly", {"timezone": "Asia/Tokyo"})).json()
    off = (await owner.call("PATCH", "/nightly", {"enabled": False})).json()
    once = (await owner.call("PATCH", "/nightly", {"run_at": "2060-01-01T09:00:00", "enabled": True})).json()
    late = await owner.call("PATCH", "/nightly", {"run_at": "2020-01-01T00:00:00Z"})
    job = {"model": "iris", "input": URL}
    other = (await owner.call("PATCH", "/nightly", {"job": job, "name": "once"})).json()

    def moment(view: dict[str, Any]) -> datetime:
        return datetime.fromisoformat(view["next_run_at"])

    assert moment(made) - moment(moved) == timedelta(hours=9)
    assert off == moved | {"enabled": False, "next_run_at": None}
    assert (once["cron"], moment(once)) == (None, datetime(2060, 1, 1, 0, 0, tzinfo=UTC))
    assert (late.status_code, late.json()["code"]) == (422, "invalid_schedule")
    assert other == once | {"name": "once", "job": other["job"]}
    assert "url" in other["job"]["input"]


async def test_what_is_due_becomes_one_job_and_the_schedule_goes_on(
    owner: Owner, due: Callable[[], Any], settings: Settings, storage: Storage
):
    made = await owner.makes()
    await due()  # not yet
    await owner.waits_until(this_hour())

    await due()
    await due()

    (job,) = await owner.jobs()
    seen = await owner.sees()
    assert (job["schedule_id"], job["input"]["format"]) == (made["id"], "jsonl")
    assert seen["last_job"] == {"id": job["id"], "status": "validating"}
    assert datetime.fromisoformat(seen["next_run_at"]) == this_hour() + timedelta(hours=1)
    assert (seen["last_error"], seen["last_run_at"] is not None) == (None, True)
    assert await messages(settings, "jobs") == 1
    stored = b"".join([piece async for piece in storage.read(input_key(UUID(job["id"])))])
    assert [json.loads(line) for line in stored.splitlines()] == [
        {"sepal_length": 5.1, "sepal_width": 3.5},
        {"sepal_length": 1.5, "sepal_width": 2},
    ]


async def test_two_leaders_at_once_submit_one_job(
    owner: Owner, due: Callable[[], Any], database: Database, settings: Settings
):
    names = [f"s{n}" for n in range(5)]
    for name in names:
        await owner.makes(name=name)
        await owner.waits_until(this_hour(), name)

    await asyncio.gather(*(due() for _ in range(4)))

    async with database.transaction() as session:
        keys = [input_key(job_id) for job_id in await session.scalars(select(JobRow.id))]
    folder = settings.storage_url.removeprefix("file://")
    assert len(keys) == 5
    assert [len(await owner.jobs(name)) for name in names] == [1] * 5
    assert await stored_inputs(folder) == sorted(keys)  # the others' files are gone
    assert await messages(settings, "jobs") == 5


async def stored_inputs(folder: str) -> list[str]:
    def found() -> list[str]:
        return sorted(str(f.relative_to(folder)) for f in Path(folder).glob("jobs/*/input"))

    return await asyncio.to_thread(found)


async def test_missed_times_become_one_job_for_the_latest(owner: Owner, due: Callable[[], Any]):
    await owner.makes({"url": "https://example.com/{date}T{hour}.csv"}, timezone="Asia/Tokyo")
    await owner.waits_until(this_hour() - timedelta(days=400))

    await due()
    await due()

    (job,) = await owner.jobs()
    latest = this_hour() + timedelta(hours=9)
    assert job["input"]["url"] == f"https://example.com/{latest:%Y-%m-%dT%H}.csv"


async def test_a_time_is_left_out_while_a_job_runs_unless_both_may(owner: Owner, due: Callable[[], Any]):
    await owner.makes()
    for _ in range(2):
        await owner.waits_until(this_hour())
        await due()

    skipped, jobs = await owner.sees(), await owner.jobs()
    await owner.call("PATCH", "/nightly", {"overlap": "allow"})
    await owner.waits_until(this_hour())
    await due()

    assert (skipped["last_error"]["code"], len(jobs)) == ("still_running", 1)
    assert datetime.fromisoformat(skipped["last_error"]["due_at"]) == this_hour()
    assert skipped["next_run_at"] is not None
    assert ((await owner.sees())["last_error"], len(await owner.jobs())) == (None, 2)


async def test_a_refused_submission_is_told_and_ten_in_a_row_disable(
    owner: Owner, due: Callable[[], Any], database: Database
):
    await owner.makes()
    await owner.makes(URL, name="fetched")
    async with database.transaction() as session:
        await session.execute(delete(ModelRow))

    seen = []
    for _ in range(10):
        for name in ("nightly", "fetched"):
            await owner.waits_until(this_hour(), name)
        await due()
        seen.append(await owner.sees())

    assert {view["last_error"]["code"] for view in seen} == {"model_not_found"}
    assert [view["enabled"] for view in seen] == [True] * 9 + [False]
    assert "10 times in a row" in seen[-1]["last_error"]["message"]
    assert (seen[-1]["next_run_at"], await owner.jobs()) == (None, [])
    assert (await owner.sees("fetched"))["enabled"] is False


async def test_refusals_that_end_are_forgotten(owner: Owner, due: Callable[[], Any], database: Database):
    await owner.makes()
    async with database.transaction() as session:
        await session.execute(update(ModelRow).values(name="gone"))
    await owner.waits_until(this_hour())
    await due()
    async with database.transaction() as session:
        await session.execute(update(ModelRow).values(name="iris"))
    refused = await owner.sees()

    await owner.waits_until(this_hour())
    await due()

    assert refused["last_error"]["code"] == "model_not_found"
    assert (await owner.sees())["last_error"] is None
    async with database.transaction() as session:
        assert await session.scalar(select(ScheduleRow.refusals)) == 0


async def test_a_time_that_comes_once_is_run_once(owner: Owner, due: Callable[[], Any], database: Database):
    soon = datetime.now(UTC) + timedelta(days=1)
    await owner.makes(run_at=soon.isoformat())
    async with database.transaction() as session:
        await session.execute(update(ScheduleRow).values(run_at=this_hour(), next_run_at=this_hour()))

    await due()
    await due()

    assert len(await owner.jobs()) == 1
    assert (await owner.sees())["next_run_at"] is None


async def test_a_job_can_be_had_now(owner: Owner, settings: Settings):
    made = await owner.makes(URL, enabled=False)

    answers = [await owner.call("POST", "/nightly/run") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    job = answers[1].json()
    assert (job["schedule_id"], job["status"]) == (made["id"], "validating")
    assert "{" not in job["input"]["url"]
    assert answers[1].headers["Location"] == f"/api/v1/jobs/{job['id']}"
    assert (await owner.sees())["last_job"]["id"] == job["id"]
    assert await messages(settings, "jobs") == 2


async def test_jobs_stay_when_their_schedule_is_deleted(owner: Owner):
    made = await owner.makes()
    await owner.call("POST", "/nightly/run")

    gone = await owner.call("DELETE", "/nightly")

    assert gone.status_code == 204
    assert (await owner.call("GET", "/nightly")).status_code == 404
    assert [job["schedule_id"] for job in await owner.jobs(made["id"])] == [made["id"]]


async def test_a_schedule_that_was_changed_meanwhile_is_not_submitted_as_it_was(
    owner: Owner, due: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
):
    """The change comes after the input was stored, and before the job is added."""
    await owner.makes()
    await owner.waits_until(this_hour())

    async def changed(session: Any, seen: ScheduleRow) -> ScheduleRow | None:
        monkeypatch.undo()
        await owner.call("PATCH", "/nightly", {"job": {"model": "iris", "input": URL}})
        return await take_due(session, seen)

    monkeypatch.setattr("shared.schedules.due.take_due", changed)
    await due()
    before = await owner.jobs()
    await due()

    assert before == []
    assert [job["input"]["url"] is not None for job in await owner.jobs()] == [True]


async def test_a_store_that_is_away_leaves_the_schedule_due_and_others_go_on(
    owner: Owner, due: Callable[[], Any], storage: Storage, monkeypatch: pytest.MonkeyPatch
):
    await owner.makes()
    await owner.makes(URL, name="fetched")
    await owner.waits_until(this_hour() - timedelta(hours=1))
    await owner.waits_until(this_hour(), "fetched")

    async def away(*_args: Any, **_options: Any) -> None:
        raise StorageAway

    with monkeypatch.context() as broken:
        broken.setattr(storage, "write", away)
        await due()
    counts = len(await owner.jobs()), len(await owner.jobs("fetched"))
    await due()

    assert counts == (0, 1)
    assert len(await owner.jobs()) == 1


@pytest.mark.parametrize("step", [(DueSchedules, "_advance"), (ScheduledJobs, "announce")])
async def test_a_leader_that_dies_between_two_steps_loses_and_doubles_nothing(
    owner: Owner,
    due: Callable[[], Any],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    step: tuple[type, str],
):
    """Before the commit nothing has happened; after it the message is the reaper's."""
    await owner.makes()
    await owner.waits_until(this_hour())

    async def dies(*_args: Any, **_options: Any) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(*step, dies)
    with pytest.raises(asyncio.CancelledError):
        await due()
    monkeypatch.undo()
    await due()

    async with database.transaction() as session:
        jobs, sent = (await session.execute(text("SELECT count(*), max(sent_at) FROM jobs"))).one()
    assert (jobs, sent is not None) == (1, True)
