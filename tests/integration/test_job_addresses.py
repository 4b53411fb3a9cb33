"""Jobs whose input lies on a server or in a bucket: fetched whatever happens on the way, or told why not."""

import asyncio
import hashlib
import io
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from shared.access.caller import Caller
from shared.database.engine import Database
from shared.jobs.claims import claim_step
from shared.jobs.errors import InputRefused, InputTooLarge, InputUnreachable
from shared.jobs.input_address import InputUrlRefused
from shared.jobs.job import JobStatus
from shared.settings import Settings
from shared.storage.store import Storage
from tests.fixtures.file_server import FileServer
from tests.fixtures.jobs import BatchWorkers, Jobs, RunJob, ServeModel
from workers.jobs import fetching, http_transfer
from workers.jobs.context import JobContext
from workers.jobs.fetching import fetch_input
from workers.jobs.holding import Stopped, StopSign
from workers.jobs.plan import plan_job

FLOWERS = pd.DataFrame(
    {
        "sepal_length": [5.1, 6.7, 5.9],
        "sepal_width": [3.5, 3.0, 3.0],
        "petal_length": [1.4, 5.2, 4.2],
        "petal_width": [0.2, 2.3, 1.5],
    }
)
CSV = FLOWERS.to_csv(index=False).encode()


@pytest.fixture(autouse=True)
async def _iris(serve_model: ServeModel, iris_on_frame: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_transfer, "PAUSES_S", (0.01, 0.01))
    await serve_model("iris", iris_on_frame)


def as_parquet(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file, index=False)
    return file.getvalue()


def logs_in(folder: Path) -> str:
    """What a batch worker has logged."""
    return "".join([log.read_text() for log in folder.glob("workers.jobs-*.log")])


async def test_a_parquet_file_on_the_web_is_predicted(jobs: Jobs, run_job: RunJob, file_server: FileServer):
    content = as_parquet(FLOWERS)
    url = file_server.put("/a/flowers.parquet", content)
    job_id = await jobs.submitted_from(f"{url}?sig=hunter2".replace("//", "//me:hunter2@"), model="iris")
    before = await jobs.get(job_id)

    job = await run_job(job_id)

    assert (before.input.format, before.input.size_bytes, before.output.format) == (None, None, None)
    assert job.status is JobStatus.SUCCEEDED, job.error
    assert job.input.url == before.input.url == url
    assert job.input.file_name == "flowers.parquet"
    assert (job.input.format, job.output.format) == ("parquet", "parquet")
    assert job.input.size_bytes == len(content)
    assert job.input.sha256 == hashlib.sha256(content).hexdigest()
    output = pd.read_parquet(io.BytesIO(await jobs.result(job_id)))
    pd.testing.assert_frame_equal(output.drop(columns="prediction"), FLOWERS)
    row = await jobs.row(job_id)
    assert jobs.stored(job_id) == {row.input_key, row.result_key}
    assert "hunter2" not in str(row.input_url)


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_connection_lost_in_the_middle_costs_no_row(
    jobs: Jobs, run_job: RunJob, file_server: FileServer, *, ranges: bool
):
    rows = pd.concat([FLOWERS] * 5000)
    content = rows.to_csv(index=False).encode()
    url = file_server.put("/flowers.csv", content, cuts=[len(content) // 2], ranges=ranges)
    job_id = await jobs.submitted_from(url, model="iris", output_format="parquet", include="none")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert job.input.sha256 == hashlib.sha256(content).hexdigest()
    output = pd.read_parquet(io.BytesIO(await jobs.result(job_id)))
    assert len(output) == len(rows)
    assert output["prediction"].tolist()[:3] == output["prediction"].tolist()[-3:]
    assert len(file_server.asked) == (2 if ranges else 3)


async def test_an_object_of_a_listed_bucket_is_predicted(
    jobs: Jobs, run_job: RunJob, buckets: FileServer, *, caller: Caller
):
    key = f"uploads/{caller.tenant_id}/my flowers.csv"
    buckets.put(f"/{key.replace(' ', '%20')}", CSV)
    job_id = await jobs.submitted_from(f"s3://{key}", model="iris")

    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert (job.input.file_name, job.input.format, job.input.size_bytes) == (
        "my flowers.csv",
        "csv",
        len(CSV),
    )
    assert all("Credential=platform/" in asked.headers["authorization"] for asked in buckets.asked)


async def test_an_object_of_another_tenant_is_refused(jobs: Jobs, buckets: FileServer):
    with pytest.raises(InputUrlRefused, match="lists no such bucket or prefix"):
        await jobs.submitted_from("s3://uploads/someone-else/rows.csv", model="iris")

    assert buckets.asked == []


async def test_an_object_that_is_not_there_fails_the_job(jobs: Jobs, run_job: RunJob, *, buckets: FileServer):
    job_id = await jobs.submitted_from("s3://shared-data/rows.csv", model="iris")

    job = await run_job(job_id)

    assert job.error is not None
    assert (job.error.code, job.error.message) == ("input_refused", "there is no such object")
    assert buckets.asked


async def test_an_object_that_is_replaced_on_the_way_fails_the_job(
    jobs: Jobs, run_job: RunJob, *, buckets: FileServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workers.jobs.bucket_transfer.PIECE_BYTES", 16)
    url = buckets.put("/shared-data/rows.csv", CSV)
    answer = buckets._answer

    async def replaced_after_two(writer, asked):
        if len(buckets.asked) > 2:
            buckets.put("/shared-data/rows.csv", CSV[::-1], etag='"second"')
        await answer(writer, asked)

    monkeypatch.setattr(buckets, "_answer", replaced_after_two)
    job_id = await jobs.submitted_from(url.replace(buckets.url, "s3:/"), model="iris")

    job = await run_job(job_id)

    assert job.error is not None
    assert job.error.code == "input_changed"


@pytest.mark.parametrize(
    ("content", "behaviour", "code"),
    [
        (CSV, {"statuses": [403]}, "input_refused"),
        (b"PK\x03\x04 a workbook", {}, "unsupported_format"),
        (b"", {}, "unreadable_input"),
        (b"a,b\n1,2\n", {}, "columns_do_not_fit"),
    ],
)
async def test_what_cannot_be_had_or_read_fails_the_job_at_once(
    jobs: Jobs, run_job: RunJob, file_server: FileServer, *, content: bytes, behaviour: dict, code: str
):
    job_id = await jobs.submitted_from(file_server.put("/rows", content, **behaviour), model="iris")

    job = await run_job(job_id)

    assert job.error is not None
    assert job.error.code == code
    assert jobs.stored(job_id) == set()


async def test_a_server_that_is_away_is_tried_as_often_as_a_chunk(
    jobs: Jobs, job_context: JobContext, file_server: FileServer, caplog: pytest.LogCaptureFixture
):
    url = file_server.put("/rows", CSV, statuses=[503] * 100)
    job_id = await jobs.submitted_from(f"{url}?sig=hunter2", model="iris")

    for _ in range(3):
        assert (await jobs.get(job_id)).status is JobStatus.VALIDATING
        await plan_job(job_context, job_id)

    job = await jobs.get(job_id)
    assert job.error is not None
    assert (job.error.code, job.error.message) == ("input_unreachable", "the server answered 503")
    assert "hunter2" not in caplog.text
    assert "hunter2" not in msgspec.json.encode(job).decode()


async def test_what_the_operator_forbids_meanwhile_is_not_fetched(
    jobs: Jobs, job_context: JobContext, file_server: FileServer
):
    job_id = await jobs.submitted_from(file_server.put("/rows", CSV), model="iris")
    guarded = msgspec.structs.replace(job_context.settings, allow_private_inputs=False)

    await plan_job(msgspec.structs.replace(job_context, settings=guarded), job_id)

    job = await jobs.get(job_id)
    assert job.error is not None
    assert job.error.code == "input_url_refused"
    assert file_server.asked == []


async def test_a_killed_workers_half_is_forgotten(
    jobs: Jobs,
    batch_workers: BatchWorkers,
    run_job: RunJob,
    job_context: JobContext,
    file_server: FileServer,
    *,
    tmp_path: Path,
):
    content = pd.concat([FLOWERS] * 5000).to_csv(index=False).encode()
    url = file_server.put("/flowers.csv", content, silent=True)
    worker = await batch_workers.start(lease_s=2.0, job_threads=1)
    job_id = await jobs.submitted_from(f"{url}?sig=hunter2", model="iris")
    async with asyncio.timeout(60):
        while not file_server.asked:
            await asyncio.sleep(0.02)

    worker.kill()
    file_server.put("/flowers.csv", content)
    while (await jobs.get(job_id)).status is JobStatus.VALIDATING:  # until the lease of the dead has ended
        await plan_job(job_context, job_id)
        await asyncio.sleep(0.05)
    job = await run_job(job_id)

    assert job.status is JobStatus.SUCCEEDED, job.error
    assert job.rows.done == 15_000
    assert job.input.sha256 == hashlib.sha256(content).hexdigest()
    assert (await jobs.row(job_id)).input_key == f"jobs/{job_id}/input.2"
    assert "hunter2" not in logs_in(tmp_path)


class Fetches:
    """Fetches of a job's input, without the rest of the plan."""

    def __init__(self, jobs: Jobs, database: Database, storage: Storage) -> None:
        self._jobs, self._database, self._storage = jobs, database, storage

    async def run(self, url: str, settings: Settings, sign: StopSign | None = None) -> None:
        job_id = await self._jobs.submitted_from(url, model="iris")
        async with self._database.transaction() as session:
            claim = await claim_step(session, job_id, JobStatus.VALIDATING, settings=settings)
        assert claim is not None
        try:
            await fetch_input(settings, self._storage, claim, sign=sign or StopSign())
        finally:
            assert self._jobs.stored(job_id) == set()


@pytest.fixture
def fetches(jobs: Jobs, database: Database, storage: Storage) -> Fetches:
    return Fetches(jobs, database, storage)


async def test_a_file_without_an_end_is_cut_off(
    fetches: Fetches, settings: Settings, file_server: FileServer
):
    small = msgspec.structs.replace(settings, job_max_bytes=10_000_000)

    with pytest.raises(InputTooLarge, match="10000000 bytes"):
        await fetches.run(file_server.put("/rows", endless=True), small)


async def test_a_file_that_takes_too_long_is_given_up(
    fetches: Fetches, settings: Settings, file_server: FileServer
):
    hasty = msgspec.structs.replace(settings, fetch_timeout_s=0.1)

    with pytest.raises(InputRefused, match=r"within 0\.1 s"):
        await fetches.run(file_server.put("/rows", CSV, silent=True), hasty)


async def test_a_server_that_only_trickles_holds_no_worker(
    fetches: Fetches, settings: Settings, file_server: FileServer, *, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fetching, "BEGINNING_S", 0.1)

    with pytest.raises(InputUnreachable, match="bytes a second"):
        await fetches.run(file_server.put("/rows", CSV, silent=True), settings)


async def test_a_server_that_never_brings_the_whole_is_given_up(
    fetches: Fetches, settings: Settings, file_server: FileServer
):
    with pytest.raises(InputUnreachable, match="cannot go on"):
        await fetches.run(file_server.put("/rows", CSV, length=len(CSV) + 1, ranges=False), settings)


async def test_a_fetch_ends_when_it_shall_though_the_server_is_silent(
    fetches: Fetches, settings: Settings, file_server: FileServer
):
    sign = StopSign()
    url = file_server.put("/rows", CSV, silent=True)
    asyncio.get_running_loop().call_later(0.2, sign.show)

    with pytest.raises(Stopped):
        await fetches.run(url, settings, sign)
