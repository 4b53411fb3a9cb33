"""Jobs followed by events and by long polls: told at the change, by a message, in whatever process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar
from redis.asyncio import Redis

import shared.jobs.service
from api.app import create_app
from api.event_streams import EventStreams
from shared.database.engine import Database
from shared.jobs.job import JobStatus
from shared.jobs.news import JobNews
from shared.jobs.tables import ChunkRow, JobRow
from shared.settings import Settings
from tests.fixtures.api import Account, Judge, Upload, living
from tests.fixtures.event_source import EventSource, listening
from tests.fixtures.models import OpenModel
from workers.jobs.context import JobContext
from workers.jobs.finish import finish_job
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

CSV = b"sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n"
MOST = 3


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, max_event_streams=MOST)


@pytest.fixture(autouse=True)
def never_looks_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hears nothing would wait past the time limits of these tests."""
    monkeypatch.setattr(shared.jobs.service, "LOOK_S", 600.0)


@pytest.fixture
async def job_id(
    client: AsyncClient,
    account: Account,
    upload: Upload,
    *,
    judge: Judge,
    iris_on_frame: Path,
    open_model: OpenModel,
) -> UUID:
    """A job that nobody has worked on."""
    _, verdict = open_model(iris_on_frame)
    answer = await upload("iris", content=await asyncio.to_thread(iris_on_frame.read_bytes))
    await judge(answer["version"]["id"], verdict)
    submitted = await client.post(
        "/api/v1/jobs", files={"file": ("rows.csv", CSV)}, data={"model": "iris"}, headers=account.headers
    )
    return UUID(submitted.json()["id"])


@pytest.fixture
async def other_process(settings: Settings) -> AsyncIterator[Litestar]:
    """A second application, that shares nothing with the first but its servers."""
    async with living(create_app(settings)) as application:
        yield application


def events_of(
    app: Litestar, account: Account, job_id: UUID, **headers: str
) -> AbstractAsyncContextManager[EventSource]:
    return listening(app, f"/api/v1/jobs/{job_id}/events", account.headers | headers)


async def work_on(context: JobContext, job_id: UUID) -> None:
    await plan_job(context, job_id)
    await run_chunk(context, job_id, 0)
    await finish_job(context, job_id)


async def test_a_follower_is_told_of_each_state_until_the_end(
    app: Litestar, account: Account, job_id: UUID, *, job_context: JobContext, client: AsyncClient
):
    async with events_of(app, account, job_id) as source:
        first = await source.next()
        await plan_job(job_context, job_id)
        second = await source.next()
        await run_chunk(job_context, job_id, 0)
        await finish_job(job_context, job_id)
        rest = await source.all()

    assert (source.status, source.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert source.headers["cache-control"] == "no-store"
    assert first is not None
    assert second is not None
    assert (first.event, first.data["status"]) == ("status", "validating")
    assert (second.event, second.data["status"]) == ("status", "queued")
    assert {told.event for told in rest} <= {"status", "progress"}
    assert rest[-1].event == "status"
    whole = (await client.get(f"/api/v1/jobs/{job_id}", headers=account.headers)).json()
    assert rest[-1].data == whole
    assert whole["status"] == "succeeded"
    assert whole["urls"]["events"].endswith(f"/api/v1/jobs/{job_id}/events")


async def test_a_follower_whose_key_was_revoked_is_told_nothing_more(
    app: Litestar, account: Account, job_id: UUID, *, job_context: JobContext, client: AsyncClient
):
    keys = "/api/v1/api-keys"
    key = (await client.post(keys, json={"name": "follower"}, headers=account.headers)).json()
    async with listening(app, f"/api/v1/jobs/{job_id}/events", {"X-API-Key": key["secret"]}) as source:
        assert await source.next() is not None

        await client.delete(f"{keys}/{key['id']}", headers=account.headers)
        await plan_job(job_context, job_id)

        assert await source.all() == []


async def test_more_rows_in_the_same_state_are_progress(
    app: Litestar,
    account: Account,
    job_id: UUID,
    *,
    database: Database,
    redis: Redis,
    job_context: JobContext,
):
    await plan_job(job_context, job_id)
    async with events_of(app, account, job_id) as source:
        await source.next()
        async with database.transaction() as session:
            chunk = await session.get_one(ChunkRow, (job_id, 0))
            chunk.rows_done = 1
        await JobNews(redis).announce(job_id)
        told = await source.next()

    assert told is not None
    assert (told.event, told.data["rows"]["done"]) == ("progress", 1)


async def test_a_message_reaches_the_followers_at_every_process(
    app: Litestar, other_process: Litestar, account: Account, *, job_id: UUID, job_context: JobContext
):
    async with events_of(app, account, job_id) as here, events_of(other_process, account, job_id) as there:
        await here.next()
        await there.next()
        await plan_job(job_context, job_id)
        told = [await here.next(), await there.next()]

    assert [each and each.data["status"] for each in told] == ["queued", "queued"]


async def test_cancelling_at_one_process_is_told_at_another(
    other_process: Litestar, account: Account, job_id: UUID, *, client: AsyncClient
):
    async with events_of(other_process, account, job_id) as source:
        await source.next()
        await client.post(f"/api/v1/jobs/{job_id}/cancel", headers=account.headers)
        told = await source.all()

    assert [each.data["status"] for each in told] == ["cancelled"]


async def test_a_follower_who_comes_back_is_told_what_is_new(
    app: Litestar, account: Account, job_id: UUID, *, job_context: JobContext
):
    async with events_of(app, account, job_id) as source:
        seen = await source.next()
    assert seen is not None
    async with events_of(app, account, job_id, **{"Last-Event-ID": seen.id}) as source:
        await plan_job(job_context, job_id)
        told = await source.next()

    assert told is not None
    assert (told.event, told.data["status"]) == ("status", "queued")
    assert source.pings >= 1, "what was seen is not told again"


async def test_whoever_has_seen_the_end_is_told_that_nothing_follows(
    app: Litestar, account: Account, job_id: UUID, *, job_context: JobContext
):
    await work_on(job_context, job_id)
    async with events_of(app, account, job_id) as source:
        (end,) = await source.all()
    async with events_of(app, account, job_id, **{"Last-Event-ID": end.id}) as again:
        nothing = await again.all()

    assert (end.event, end.data["status"]) == ("status", "succeeded")
    assert (again.status, nothing) == (204, [])


async def test_a_follower_who_leaves_frees_its_place(app: Litestar, account: Account, job_id: UUID):
    streams: EventStreams = app.state.event_streams
    sources = [EventSource(app, f"/api/v1/jobs/{job_id}/events", account.headers) for _ in range(MOST)]
    for source in sources:
        await source.next()
    async with events_of(app, account, job_id) as refused:
        assert refused.status == 429
        assert int(refused.headers["retry-after"]) > 0
    assert (streams.held(account.tenant_id), app.state.job_news.watched) == (MOST, 1)

    for source in sources:
        await source.leave()

    assert (streams.held(account.tenant_id), app.state.job_news.watched) == (0, 0)
    async with events_of(app, account, job_id) as source:
        assert source.status == 200


async def test_a_quiet_stream_is_kept_alive_by_comments(
    app: Litestar, account: Account, job_id: UUID, *, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shared.jobs.service, "LOOK_S", 0.05)
    async with events_of(app, account, job_id) as source:
        await source.next()
        following = asyncio.create_task(source.next())
        while source.pings < 2:
            await asyncio.sleep(0.01)
        following.cancel()


async def test_a_lost_message_is_made_up_for_by_a_look(
    app: Litestar, account: Account, job_id: UUID, *, database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shared.jobs.service, "LOOK_S", 0.05)
    async with events_of(app, account, job_id) as source:
        await source.next()
        async with database.transaction() as session:
            (await session.get_one(JobRow, job_id)).status = JobStatus.QUEUED
        told = await source.next()

    assert told is not None
    assert told.data["status"] == "queued"


async def test_a_process_that_stops_ends_its_streams_and_waits(
    app: Litestar, account: Account, job_id: UUID, *, client: AsyncClient
):
    waiting = asyncio.create_task(client.get(f"/api/v1/jobs/{job_id}?wait=60", headers=account.headers))
    async with events_of(app, account, job_id) as source:
        await source.next()
        app.state.job_news.end_waits()
        rest = await source.all()

    assert rest == []
    assert (await waiting).json()["status"] == "validating"


async def test_a_long_poll_wakes_by_message(
    other_process: Litestar, account: Account, job_id: UUID, *, job_context: JobContext
):
    async with AsyncClient(
        transport=ASGITransport(other_process), base_url="http://modelyard.test", timeout=30
    ) as sender:
        waiting = asyncio.create_task(sender.get(f"/api/v1/jobs/{job_id}?wait=60", headers=account.headers))
        while not other_process.state.job_news.watched:
            await asyncio.sleep(0.01)
        await plan_job(job_context, job_id)
        answer = await waiting

    assert answer.json()["status"] == "queued"


async def test_nobody_follows_another_tenants_job(app: Litestar, stranger: Account, job_id: UUID):
    async with events_of(app, stranger, job_id) as source:
        assert source.status == 404
