"""What was finished of a job is there: while the others run, and when they never will."""

import asyncio
import base64
import hashlib
import io
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog
from httpx import AsyncClient, Response
from sqlalchemy import func, update

from api.partial_file import partial_answer
from api.stored_file import Wanted
from shared.database.engine import Database
from shared.jobs.job import ErrorsFormat
from shared.jobs.lost_work import lost_work
from shared.jobs.partial import PartialResult, partial_result
from shared.jobs.partial_claims import claim_partial, record_partial
from shared.jobs.tables import JobRow
from shared.messaging.actors import FINISH_JOB
from shared.settings import Settings
from shared.storage.object_files import Written
from shared.storage.store import Storage
from tests.fixtures.api import Account, Judge, Upload
from tests.fixtures.models import OpenModel
from workers.jobs.context import JobContext
from workers.jobs.finish import finish_job
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

ROWS = 12
FLOWERS = pd.DataFrame(
    {
        "sepal_length": [5.0 + row / 10 for row in range(ROWS)],
        "sepal_width": 3.0,
        "petal_length": [1.0 + row / 3 for row in range(ROWS)],
        "petal_width": 0.2,
        "garden": "north",
    }
)
CSV = FLOWERS.to_csv(index=False).encode()
JSONL = FLOWERS.to_json(orient="records", lines=True).encode()


def parquet(rows: pd.DataFrame = FLOWERS) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(rows), file, row_group_size=3)
    return file.getvalue()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Several chunks of a few rows."""
    return msgspec.structs.replace(settings, chunk_bytes=100)


@pytest.fixture(autouse=True)
async def iris(upload: Upload, judge: Judge, iris_on_frame: Path, open_model: OpenModel) -> None:
    host, verdict = open_model(iris_on_frame)
    host.kill()
    answer = await upload("iris", content=await asyncio.to_thread(iris_on_frame.read_bytes))
    await judge(answer["version"]["id"], verdict)


class Client:
    """Somebody who submits jobs, and works on them step by step."""

    def __init__(self, client: AsyncClient, account: Account, context: JobContext) -> None:
        self._client, self._headers, self._context = client, account.headers, context

    async def submit(self, content: bytes, **fields: str) -> UUID:
        answer = await self._client.post(
            "/api/v1/jobs",
            files={"file": ("rows", content)},
            data={"model": "iris"} | fields,
            headers=self._headers,
        )
        assert answer.status_code == 202, answer.text
        return UUID(answer.json()["id"])

    async def get(self, job_id: UUID, path: str = "", **headers: str) -> Response:
        return await self._client.get(f"/api/v1/jobs/{job_id}{path}", headers=self._headers | headers)

    async def part(self, job_id: UUID, **headers: str) -> Response:
        return await self.get(job_id, "/result?partial=true", **headers)

    async def post(self, job_id: UUID, path: str) -> dict[str, Any]:
        answer = await self._client.post(f"/api/v1/jobs/{job_id}/{path}", headers=self._headers)
        assert answer.is_success, answer.text
        return answer.json()

    async def begin(self, job_id: UUID, *chunks: int) -> None:
        await plan_job(self._context, job_id)
        for index in chunks:
            await run_chunk(self._context, job_id, index)

    async def finish(self, job_id: UUID) -> None:
        await self.begin(job_id, *range(ROWS))
        await finish_job(self._context, job_id)

    async def cancel(self, job_id: UUID) -> dict[str, Any]:
        """The job after its end, once a worker has seen to it."""
        await self.post(job_id, "cancel")
        await finish_job(self._context, job_id)
        return (await self.get(job_id)).json()


@pytest.fixture
def user(client: AsyncClient, account: Account, job_context: JobContext) -> Client:
    return Client(client, account, job_context)


@pytest.mark.parametrize("content", [CSV, JSONL], ids=["csv", "jsonl"])
async def test_rows_that_are_ready_are_read_while_the_job_runs_and_the_others_behind_them_later(
    user: Client, content: bytes
):
    job_id = await user.submit(content)
    early = await user.part(job_id)
    await user.begin(job_id)
    none = await user.part(job_id)
    await user.begin(job_id, 0, 1, 3)  # the third is missing: what comes after it is not shown

    ready = await user.part(job_id)
    same = await user.part(job_id, **{"If-None-Match": ready.headers["ETag"]})
    await user.finish(job_id)
    rest = await user.part(job_id, Range=f"bytes={len(ready.content)}-")
    whole = await user.part(job_id)

    header = CSV.splitlines()[0] + b",prediction\n" if content is CSV else b""
    assert (early.status_code, early.json()["code"]) == (409, "result_not_ready")
    assert (none.content, none.headers["X-Result-Rows"]) == (header, "0")
    rows = int(ready.headers["X-Result-Rows"])
    assert 0 < rows < ROWS
    assert len(ready.content.splitlines()) == rows + bool(header)
    assert (ready.headers["X-Result-Complete"], same.status_code) == ("false", 304)
    assert "Repr-Digest" not in ready.headers
    assert rest.status_code == 206
    final = (await user.get(job_id, "/result")).content
    assert ready.content + rest.content == final == whole.content
    assert (whole.headers["X-Result-Rows"], whole.headers["X-Result-Complete"]) == (str(ROWS), "true")
    assert "Repr-Digest" in whole.headers


async def test_a_reader_whose_parts_are_joined_meanwhile_gets_every_byte(
    user: Client, storage: Storage, database: Database, account: Account
):
    job_id = await user.submit(CSV)
    await user.begin(job_id, 0, 1)

    async def look() -> PartialResult:
        async with database.transaction() as session:
            return await partial_result(session, account.tenant_id, str(job_id))

    seen = await look()
    wanted = Wanted(byte_range="bytes=7-", if_range=None, if_none_match=None)
    answer = partial_answer(seen, wanted, storage=storage, media_type="text/csv", look_again=look)
    await user.finish(job_id)

    content = b"".join([piece async for piece in answer.iterator])

    assert content == (await user.get(job_id, "/result")).content[7 : seen.size_bytes]


@pytest.mark.parametrize("include", ["all", "garden", "none"])
async def test_a_cancelled_job_leaves_a_parquet_file_of_what_was_finished(user: Client, include: str):
    job_id = await user.submit(parquet(), include=include)
    await user.begin(job_id, 0, 1)
    running = await user.part(job_id)

    job = await user.cancel(job_id)
    result = await user.part(job_id)
    plain = await user.get(job_id, "/result")
    await user.post(job_id, "retry")
    await user.finish(job_id)

    assert (running.status_code, running.json()["code"]) == (409, "result_not_ready")
    table = pd.read_parquet(io.BytesIO(result.content))
    carried = {"all": list(FLOWERS), "garden": ["garden"], "none": []}[include]
    pd.testing.assert_frame_equal(table[carried], FLOWERS.head(6)[carried])
    whole = pd.read_parquet(io.BytesIO((await user.get(job_id, "/result")).content))
    assert table["prediction"].tolist() == whole["prediction"].tolist()[:6]
    digest = hashlib.sha256(result.content)
    output = job["output"]
    assert (output["partial"], output["rows"], output["sha256"]) == (True, 6, digest.hexdigest())
    assert output["size_bytes"] == len(result.content)
    assert result.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert (result.headers["X-Result-Rows"], result.headers["X-Result-Complete"]) == ("6", "false")
    assert (plain.status_code, plain.json()["code"]) == (409, "no_result")
    ended = (await user.get(job_id)).json()["output"]
    assert (ended["partial"], ended["rows"], len(whole)) == (False, ROWS, ROWS)


async def test_rows_that_were_skipped_are_told_of_what_was_finished(user: Client):
    broken = CSV.replace(b"5.1,3.0", b"5.1,wide")
    job_id = await user.submit(broken, on_error="skip")
    await user.begin(job_id, 0, 1)
    running = await user.part(job_id)

    await user.cancel(job_id)
    result = await user.part(job_id)
    errors = await user.get(job_id, f"/errors?format={ErrorsFormat.JSONL}")

    assert result.content == running.content
    rows, input_rows = int(result.headers["X-Result-Rows"]), int(result.headers["X-Result-Input-Rows"])
    assert input_rows == rows + 1
    assert [msgspec.json.decode(line)["row"] for line in errors.content.splitlines()] == [1]


async def test_a_job_that_ended_before_any_row_has_no_partial_result(user: Client):
    job_id = await user.submit(CSV)
    await user.begin(job_id)

    job = await user.cancel(job_id)
    answer = await user.part(job_id)

    assert (answer.status_code, answer.json()["code"]) == (409, "no_result")
    assert (job["output"]["partial"], job["output"]["size_bytes"]) == (False, None)


async def test_a_file_that_cannot_be_put_together_is_given_up_and_not_the_job(
    user: Client, storage: Storage, job_context: JobContext, database: Database, settings: Settings
):
    job_id = await user.submit(parquet())
    await user.begin(job_id, 0, 1)
    await storage.delete(f"jobs/{job_id}/parts/0.1")

    with structlog.testing.capture_logs() as logs:
        for _ in range(settings.chunk_attempts):
            job = await user.cancel(job_id)
    await finish_job(job_context, job_id)

    assert [line["event"] for line in logs] == ["partial_result_not_joined"] * settings.chunk_attempts
    assert (job["status"], job["output"]["partial"]) == ("cancelled", False)
    async with database.transaction() as session:
        assert (await session.get_one(JobRow, job_id)).swept_at is not None
    assert (await user.part(job_id)).json()["code"] == "no_result"


async def test_a_worker_that_dies_while_it_joins_what_was_finished_is_made_good(
    user: Client, job_context: JobContext, database: Database, settings: Settings
):
    job_id = await user.submit(CSV)
    await user.begin(job_id, 0)
    await user.post(job_id, "cancel")
    async with database.transaction() as session:
        died = await claim_partial(session, job_id, settings=settings)
    assert died is not None
    await finish_job(job_context, job_id)
    async with database.transaction() as session:
        held = await session.get_one(JobRow, job_id)
        lapsed, long_ago = func.now() - timedelta(seconds=1), func.now() - timedelta(seconds=21)
        await session.execute(update(JobRow).values(lease_until=lapsed, sent_at=long_ago))

    async with database.transaction() as session:
        asked = await lost_work(session, settings)
    await finish_job(job_context, job_id)
    async with database.transaction() as session:
        late = await record_partial(session, died, Written(1, "0"), errors=None)

    assert (held.result_key, held.swept_at) == (None, None)
    assert (asked, late) == ([(FINISH_JOB, (job_id,))], False)
    output = (await user.get(job_id)).json()["output"]
    assert (output["partial"], output["rows"]) == (True, died.leading.rows.done)
    again = (await user.post(job_id, "retry"))["output"]
    assert (again["partial"], again["size_bytes"], again["rows"]) == (False, None, None)
