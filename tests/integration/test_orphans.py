"""What a crash left in storage goes after a day; what belongs to somebody, or may yet, stays."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from httpx import AsyncClient
from sqlalchemy import update

from shared.clock import utc_now
from shared.database.engine import Database
from shared.ids import new_id
from shared.jobs.job import ChunkStatus, JobStatus
from shared.jobs.tables import ChunkRow, JobRow
from shared.settings import Settings
from shared.storage import store as storage_module
from shared.storage.errors import ObjectMissing
from shared.storage.store import Storage
from tests.fixtures.api import Account, Upload
from tests.fixtures.jobs import store
from tests.fixtures.servers import ROOT
from workers.orphans import OrphanSweep

ROWS = b"sepal_length,sepal_width\n5.1,3.5\n"


@pytest.fixture
def sweep(database: Database, storage: Storage) -> OrphanSweep:
    return OrphanSweep(database, storage)


Submit = Callable[[], Awaitable[str]]


@pytest.fixture
async def submit(client: AsyncClient, account: Account, served: Upload) -> Submit:
    """Submits a job; gives its id."""
    await served("iris")

    async def send() -> str:
        answer = await client.post(
            "/api/v1/jobs",
            files={"file": ("rows.csv", ROWS)},
            data={"model": "iris"},
            headers=account.headers,
        )
        return answer.json()["id"]

    return send


async def walk(sweep: OrphanSweep) -> None:
    while await sweep.round():
        pass


async def put(storage: Storage, *keys: str) -> None:
    for key in keys:
        await store(storage, key, b"x")


async def missing(storage: Storage, *keys: str) -> list[str]:
    found = []
    for key in keys:
        try:
            await storage.size(key)
        except ObjectMissing:
            found.append(key)
    return found


def grow_old(settings: Settings) -> None:
    """All that storage holds now was written two days ago."""
    before = time.time() - timedelta(days=2).total_seconds()
    for path in Path(settings.storage_url.removeprefix("file://")).rglob("*"):
        os.utime(path, (before, before))


async def test_what_nobody_names_goes_once_it_is_old(
    sweep: OrphanSweep, storage: Storage, settings: Settings
):
    old = [f"artifacts/{new_id()}", f"samples/{new_id()}", f"jobs/{new_id()}/input", f"checks/{new_id()}"]
    await put(storage, *old)
    grow_old(settings)
    young = [f"artifacts/{new_id()}", f"samples/{new_id()}", f"jobs/{new_id()}/input", f"checks/{new_id()}"]
    others = ["environments/0123", "jobs/nobody-knows/input"]
    await put(storage, *young, *others)

    await walk(sweep)

    assert await missing(storage, *old, *young, *others) == old


async def test_what_a_version_names_stays(
    sweep: OrphanSweep, storage: Storage, settings: Settings, upload: Upload
):
    version = (await upload("iris"))["version"]
    grow_old(settings)

    await walk(sweep)

    assert await missing(storage, f"artifacts/{version['id']}") == []


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.FAILED])
async def test_of_a_job_that_was_swept_only_what_it_keeps_stays(
    sweep: OrphanSweep,
    storage: Storage,
    *,
    settings: Settings,
    submit: Submit,
    database: Database,
    status: JobStatus,
):
    ended, running = await submit(), await submit()
    result, part = f"jobs/{ended}/result.2", f"jobs/{ended}/parts/0.2"
    late = [f"jobs/{ended}/parts/0.1", f"jobs/{ended}/result.1"]
    kept = [f"jobs/{ended}/input", result, f"jobs/{running}/input", f"jobs/{running}/parts/0.1"]
    (late if status is JobStatus.SUCCEEDED else kept).append(part)  # which a retry would go on from
    await put(storage, result, part, *late, f"jobs/{running}/parts/0.1")
    async with database.transaction() as session:
        ending = {"status": status, "fence": 2, "ended_at": utc_now(), "swept_at": utc_now()}
        await session.execute(update(JobRow).where(JobRow.id == ended).values(result_key=result, **ending))
        done = {"status": ChunkStatus.DONE, "fence": 2, "part_key": part}
        session.add(ChunkRow(job_id=ended, index=0, source={}, **done))
    grow_old(settings)

    await walk(sweep)

    assert set(await missing(storage, *late, *kept)) == set(late)


async def test_what_a_killed_process_was_writing_goes_once_it_is_old(sweep: OrphanSweep, settings: Settings):
    old, young = f"jobs/{new_id()}", f"jobs/{new_id()}"
    await write_and_be_killed(settings, old)
    grow_old(settings)
    await write_and_be_killed(settings, young)

    await walk(sweep)

    assert files_under(settings, old) == []
    assert len(files_under(settings, young)) == 1


async def write_and_be_killed(settings: Settings, prefix: str) -> None:
    code = (
        "import os, sys\n"
        "from shared.storage.store import Storage\n"
        "writer = Storage(sys.argv[1]).writer(sys.argv[2] + '/parts/0.1')\n"
        "writer.write(bytes(20_000_000))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, settings.storage_url, prefix, cwd=ROOT
    )
    assert await process.wait() == -signal.SIGKILL
    assert len(files_under(settings, prefix)) == 1


def files_under(settings: Settings, prefix: str) -> list[Path]:
    folder = Path(settings.storage_url.removeprefix("file://")) / prefix
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_round_does_one_page_and_a_walk_is_followed_by_a_rest(
    sweep: OrphanSweep, storage: Storage, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(storage_module, "LISTED_AT_ONCE", 2)
    keys = [f"artifacts/{new_id()}" for _ in range(5)]
    await put(storage, *keys)
    grow_old(settings)

    left = [len(keys) - len(await missing(storage, *keys)) for _ in range(4) if await sweep.round() or True]
    again = f"artifacts/{new_id()}"
    await put(storage, again)
    grow_old(settings)
    await sweep.round()

    assert left == [3, 1, 0, 0]
    assert await missing(storage, again) == []
