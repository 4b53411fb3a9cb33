"""What a model printed during a job: there while it runs and afterwards, its own and nobody else's."""

import asyncio
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from httpx import AsyncClient

from shared.access.caller import Caller
from shared.access.tokens import AccessTokens
from shared.catalog.tables import VersionRow
from shared.database.engine import Database
from shared.jobs.job import JobStatus
from shared.jobs.log import LOG_BYTES, append_log, read_log
from shared.settings import Settings
from shared.storage.store import Storage
from tests.fixtures import printing
from tests.fixtures.api import Account
from tests.fixtures.jobs import Jobs, RunJob, ServeModel, store
from tests.fixtures.models import OpenModel
from workers.hosting.call import PredictCall
from workers.jobs import job_log
from workers.jobs.context import JobContext
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk


@pytest.fixture
async def version(serve_model: ServeModel, tmp_path: Path) -> VersionRow:
    return await serve_model("printing", await asyncio.to_thread(printing.saved, tmp_path / "model.pkl"))


class Logs:
    """Jobs of one row each, and their logs."""

    def __init__(self, jobs: Jobs, database: Database, tenant_id: UUID) -> None:
        self.jobs, self._database, self._tenant_id = jobs, database, tenant_id

    async def submitted(self, number: float) -> UUID:
        return await self.jobs.submitted(f"x\n{number}\n".encode(), model="printing")

    async def of(self, job_id: UUID) -> str:
        async with self._database.transaction() as session:
            return await read_log(session, self._tenant_id, str(job_id))

    async def append(self, job_id: UUID, text: bytes, *, left_out: int = 0) -> None:
        async with self._database.transaction() as session:
            await append_log(session, job_id, text, left_out=left_out)


@pytest.fixture
def logs(jobs: Jobs, database: Database, caller: Caller, version: VersionRow) -> Logs:  # noqa: ARG001  it must be there
    return Logs(jobs, database, caller.tenant_id)


async def test_each_job_has_what_was_printed_during_it_though_they_share_a_host(logs: Logs, run_job: RunJob):
    first, second = await logs.submitted(11), await logs.submitted(22)
    before = await logs.of(first)

    for job_id in (first, second):
        assert (await run_job(job_id)).status is JobStatus.SUCCEEDED

    assert before == ""
    assert await logs.of(first) == "asked for 11\na warning: caf\u00e9\n"
    assert await logs.of(second) == "asked for 22\na warning: caf\u00e9\n"


async def test_a_model_that_prints_without_end_leaves_the_end_of_it(logs: Logs, run_job: RunJob):
    job_id = await logs.submitted(printing.FLOOD)

    await run_job(job_id)

    log = await logs.of(job_id)
    assert log.endswith("line 99998\nline 99999\n")
    assert "bytes are left out here]" in log
    assert len(log) <= LOG_BYTES + 100


async def test_the_last_words_of_a_process_that_ended_are_there(logs: Logs, job_context: JobContext):
    job_id = await logs.submitted(printing.CRASH)
    await plan_job(job_context, job_id)

    await run_chunk(job_context, job_id, 0)

    assert await logs.of(job_id) == "asked for -3\na warning: caf\u00e9\n"


async def test_the_words_of_every_process_are_there_where_rows_that_end_it_are_skipped(
    logs: Logs, run_job: RunJob
):
    content = f"x\n{printing.CRASH}\n5\n".encode()
    job_id = await logs.jobs.submitted(content, model="printing", on_error="skip")

    assert (await run_job(job_id)).rows.failed == 1

    printed = (await logs.of(job_id)).splitlines()[0::2]
    assert printed == [*["asked for -3"] * 3, "asked for 5"]  # with the other row, and twice alone


async def test_what_a_model_printed_when_it_could_not_be_loaded_is_there(
    logs: Logs, job_context: JobContext, storage: Storage, version: VersionRow
):
    import cloudpickle  # noqa: PLC0415

    await store(storage, version.artifact_key, cloudpickle.dumps(printing.FailingToLoad()))
    job_id = await logs.submitted(1)
    await plan_job(job_context, job_id)

    await run_chunk(job_context, job_id, 0)

    assert "cannot find the weights" in await logs.of(job_id)


async def test_a_log_is_told_while_the_model_works_and_so_outlives_its_worker(
    logs: Logs, job_context: JobContext, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(job_log, "TAKE_S", 0.05)
    job_id = await logs.submitted(printing.WAIT)
    await plan_job(job_context, job_id)
    running = asyncio.create_task(run_chunk(job_context, job_id, 0))

    async with asyncio.timeout(30):
        while "asked for -2" not in await logs.of(job_id):
            await asyncio.sleep(0.02)
    is_at_work = not running.done()

    await logs.jobs.cancel(job_id)
    await running
    assert is_at_work
    assert await logs.of(job_id) == "asked for -2\na warning: caf\u00e9\n"


async def test_only_the_end_of_a_log_is_kept_and_the_log_says_so(logs: Logs):
    job_id = await logs.submitted(1)

    await logs.append(job_id, b"a" * 10)
    await logs.append(job_id, b"b" * LOG_BYTES)
    await logs.append(job_id, b"\xff\0end")

    head, _, rest = (await logs.of(job_id)).partition("\n")
    assert head == "[15 bytes before this are not kept]"
    assert rest == "b" * (LOG_BYTES - 5) + "\N{REPLACEMENT CHARACTER}\0end"


async def test_a_log_is_plain_text_for_its_own_tenant_alone(
    logs: Logs, client: AsyncClient, settings: Settings, *, caller: Caller, stranger: Account
):
    job_id = await logs.submitted(1)
    await logs.append(job_id, b"<script>alert(1)</script>\n")
    token = AccessTokens(settings.secret_key, ttl_s=60).issue(caller)

    own = await client.get(f"/api/v1/jobs/{job_id}/log", headers={"Authorization": f"Bearer {token}"})
    other = await client.get(f"/api/v1/jobs/{job_id}/log", headers=stranger.headers)

    assert (own.status_code, own.text) == (200, "<script>alert(1)</script>\n")
    assert own.headers["content-type"] == "text/plain; charset=utf-8"
    assert own.headers["x-content-type-options"] == "nosniff"
    assert (other.status_code, other.json()["code"]) == (404, "job_not_found")


def test_printing_is_taken_once_from_each_host(open_model: OpenModel, tmp_path: Path):
    path = printing.saved(tmp_path / "model.pkl")
    one, other = open_model(path)[0], open_model(path)[0]
    for host in (one, other):
        host.link.take_printed()

    for host, number in ((one, 1.0), (other, 2.0), (one, 3.0)):
        host.submit(PredictCall(rows=1, matrix=[np.array([number]).tobytes()]))
        host.receive(timeout_s=30)

    assert one.link.take_printed().text.decode().split("\n")[0::2] == ["asked for 1", "asked for 3", ""]
    assert other.link.take_printed().text.decode().startswith("asked for 2\n")
    assert other.link.take_printed().text == b""
