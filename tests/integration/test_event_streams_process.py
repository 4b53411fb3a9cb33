"""Streams of events from `python -m api`, over a real connection."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from httpx import AsyncClient, Response
from redis.asyncio import Redis

from shared.jobs.news import JobNews
from shared.jobs.tables import JobRow
from shared.settings import Settings
from tests.fixtures.api import Account, Judge, Upload
from tests.fixtures.processes import Process, started

CSV = b"sepal_length,sepal_width\n5.1,3.5\n"
MOST = 2


@pytest.fixture
def settings(settings: Settings) -> Settings:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    changes = {"port": port, "public_url": f"http://127.0.0.1:{port}", "max_event_streams": MOST}
    return msgspec.structs.replace(settings, drain_s=0.5, **changes)


@pytest.fixture
async def process(settings: Settings, tmp_path: Path) -> AsyncIterator[Process]:
    with started("api", settings, tmp_path / "api.log") as process:
        await process.wait_for_log("Application startup complete")
        yield process


@pytest.fixture
async def network(process: Process, settings: Settings) -> AsyncIterator[AsyncClient]:  # noqa: ARG001  it listens
    async with AsyncClient(base_url=settings.public_url, timeout=30) as network:
        yield network


@pytest.fixture
async def job(network: AsyncClient, account: Account, upload: Upload, judge: Judge) -> dict[str, Any]:
    """A job that nobody works on."""
    version = (await upload("iris"))["version"]
    await judge(version["id"])
    answer = await network.post(
        "/api/v1/jobs", files={"file": ("rows.csv", CSV)}, data={"model": "iris"}, headers=account.headers
    )
    return answer.json()


class Stream:
    """One open stream."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def next(self) -> dict[str, Any] | None:
        """The job as the next event tells it; None at the end."""
        async with asyncio.timeout(30):
            async for line in self._lines:
                if line.startswith("data: "):
                    return json.loads(line.removeprefix("data: "))
        return None


@pytest.fixture
async def follow(network: AsyncClient, account: Account, job: dict[str, Any]):
    """Opens a stream; all that are open at the end are left."""
    async with AsyncExitStack() as stack:

        async def followed() -> Stream:
            opened = network.stream("GET", job["urls"]["events"], headers=account.headers)
            return Stream(await stack.enter_async_context(opened))

        yield followed


async def test_an_event_is_there_as_soon_as_the_job_has_changed(follow, job, database, redis: Redis):
    stream = await follow()
    first = await stream.next()

    async with database.transaction() as session:
        row = await session.get_one(JobRow, job["id"])
        row.status, row.cancelled_at, row.ended_at = "cancelled", row.created_at, row.created_at
    await JobNews(redis).announce(row.id)

    assert (first["id"], first["status"]) == (job["id"], "validating")
    assert (await stream.next())["status"] == "cancelled"
    assert await stream.next() is None


async def test_a_stream_too_many_is_refused_and_one_that_is_left_makes_room(
    network: AsyncClient, account: Account, job: dict[str, Any], follow
):
    streams = [await follow() for _ in range(MOST)]
    assert [(await stream.next())["status"] for stream in streams] == ["validating"] * MOST

    refused = await network.get(job["urls"]["events"], headers=account.headers)
    await streams[0].answer.aclose()

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
    assert int(refused.headers["Retry-After"]) > 0
    async with asyncio.timeout(30):
        while (again := await follow()).answer.status_code == 429:
            await asyncio.sleep(0.05)
    assert (await again.next())["status"] == "validating"


async def test_a_process_that_is_to_stop_does_not_wait_for_its_followers(follow, process: Process):
    stream = await follow()
    await stream.next()

    process.popen.send_signal(signal.SIGTERM)

    assert await process.wait_until_ended(timeout_s=20) == 0
    assert stream.answer.status_code == 200
    try:
        assert await stream.next() is None
    except httpx.RemoteProtocolError:
        pytest.fail("the stream was cut off instead of ended")
