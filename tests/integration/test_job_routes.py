"""Jobs over HTTP: what is accepted, what is refused, and what a client sees of a job until its end."""

import asyncio
import base64
import gzip
import hashlib
import io
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import joblib
import pandas as pd
import pytest
from httpx import AsyncClient, Response

from shared.settings import Settings
from tests.fixtures.api import REJECTED, Account, Judge, Upload
from tests.fixtures.file_server import FileServer
from tests.fixtures.models import OpenModel
from workers.jobs.context import JobContext
from workers.jobs.finish import finish_job
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

CSV = b"sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n"


class Client:
    """Somebody who submits jobs."""

    def __init__(self, client: AsyncClient, account: Account) -> None:
        self._client, self._headers = client, account.headers

    async def submit(self, content: bytes = CSV, *, name: str = "rows.csv", **fields: str) -> Response:
        given = {"model": "iris"} | fields
        return await self._client.post(
            "/api/v1/jobs", files={"file": (name, content)}, data=given, headers=self._headers
        )

    async def get(self, path: str, **headers: str) -> Response:
        return await self._client.get(f"/api/v1/jobs{path}", headers=self._headers | headers)

    async def cancel(self, job_id: str) -> Response:
        return await self._client.post(f"/api/v1/jobs/{job_id}/cancel", headers=self._headers)


@pytest.fixture
def user(client: AsyncClient, account: Account) -> Client:
    return Client(client, account)


@pytest.fixture
async def iris(upload: Upload, judge: Judge, iris_on_frame: Path, open_model: OpenModel) -> dict[str, Any]:
    """A model that is ready."""
    _, verdict = open_model(iris_on_frame)
    answer = await upload("iris", content=await asyncio.to_thread(iris_on_frame.read_bytes))
    await judge(answer["version"]["id"], verdict)
    return answer


def stored_files(settings: Settings) -> set[Path]:
    folder = Path(settings.storage_url.removeprefix("file://")) / "jobs"
    return {file for file in folder.rglob("*") if file.is_file()}


@pytest.mark.usefixtures("iris")
async def test_a_job_is_accepted_followed_and_its_result_fetched(
    user: Client, job_context: JobContext, iris_on_frame: Path
):
    submitted = await user.submit(metadata='{"run": 7}', include="none")

    assert submitted.status_code == 202
    job = submitted.json()
    assert submitted.headers["Location"] == f"/api/v1/jobs/{job['id']}"
    assert (job["status"], job["model"], job["version"]) == ("validating", "iris", 1)
    assert job["metadata"] == {"run": 7}
    assert job["input"] == {
        "file_name": "rows.csv",
        "format": "csv",
        "size_bytes": len(CSV),
        "sha256": hashlib.sha256(CSV).hexdigest(),
    }
    early = await user.get(f"/{job['id']}/result")
    assert (early.status_code, early.json()["code"]) == (409, "result_not_ready")

    job_id = UUID(job["id"])
    await plan_job(job_context, job_id)
    queued = (await user.get(f"/{job_id}")).json()
    assert queued["status"] == "queued"
    await run_chunk(job_context, job_id, 0)
    await finish_job(job_context, job_id)

    ended = (await user.get(f"/{job_id}")).json()
    assert ended["status"] == "succeeded"
    assert ended["rows"] == {"total": 2, "done": 2, "failed": 0}
    times = [ended[f"{state}_at"] for state in ("created", "queued", "started", "finalizing", "succeeded")]
    assert times == sorted(times)
    assert ended["ended_at"] == ended["succeeded_at"]
    result = await user.get(f"/{job_id}/result")
    labels = joblib.load(iris_on_frame).predict(pd.read_csv(io.BytesIO(CSV)))
    assert result.content == b"prediction\n" + "".join(f"{label}\n" for label in labels).encode()


@pytest.mark.usefixtures("iris")
async def test_a_result_says_what_it_is_and_gives_ranges(user: Client, job_context: JobContext):
    job = (await user.submit()).json()
    await plan_job(job_context, UUID(job["id"]))
    await run_chunk(job_context, UUID(job["id"]), 0)
    await finish_job(job_context, UUID(job["id"]))

    whole = await user.get(f"/{job['id']}/result")

    digest = hashlib.sha256(whole.content).digest()
    assert whole.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
    assert whole.headers["Content-Length"] == str(len(whole.content))
    assert f"iris-{job['id']}.csv" in whole.headers["Content-Disposition"]
    assert whole.headers["Content-Type"].startswith("text/csv")
    tag = whole.headers["ETag"]
    part = await user.get(f"/{job['id']}/result", Range="bytes=5-9")
    assert (part.status_code, part.content) == (206, whole.content[5:10])
    assert part.headers["Content-Range"] == f"bytes 5-9/{len(whole.content)}"
    tail = await user.get(f"/{job['id']}/result", Range="bytes=-4")
    assert (tail.status_code, tail.content) == (206, whole.content[-4:])
    resumed = await user.get(f"/{job['id']}/result", Range="bytes=5-", **{"If-Range": tag})
    assert (resumed.status_code, resumed.content) == (206, whole.content[5:])
    changed = await user.get(f"/{job['id']}/result", Range="bytes=5-", **{"If-Range": '"another"'})
    assert (changed.status_code, changed.content) == (200, whole.content)
    behind = await user.get(f"/{job['id']}/result", Range=f"bytes={len(whole.content)}-")
    assert behind.status_code == 416
    assert behind.headers["Content-Range"] == f"bytes */{len(whole.content)}"
    assert (await user.get(f"/{job['id']}/result", **{"If-None-Match": tag})).status_code == 304


@pytest.mark.usefixtures("iris")
async def test_skipped_rows_are_told_in_the_format_that_is_asked_for(user: Client, job_context: JobContext):
    job = (await user.submit(CSV + b"wide,3.0,5.2,2.3\n", on_error="skip")).json()
    early = await user.get(f"/{job['id']}/errors")
    await plan_job(job_context, UUID(job["id"]))
    await run_chunk(job_context, UUID(job["id"]), 0)
    await finish_job(job_context, UUID(job["id"]))

    lines = await user.get(f"/{job['id']}/errors")
    csv = await user.get(f"/{job['id']}/errors?format=csv")
    parquet = await user.get(f"/{job['id']}/errors", Accept="application/vnd.apache.parquet")

    assert (early.status_code, early.json()["code"]) == (409, "result_not_ready")
    assert (await user.get(f"/{job['id']}")).json()["rows"] == {"total": 3, "done": 2, "failed": 1}
    error = {
        "row": 2,
        "column": "sepal_length",
        "code": "unreadable_input",
        "message": "'wide' is not a number",
    }
    assert lines.json() == error
    assert lines.headers["Content-Type"] == "application/jsonl"
    assert f"iris-{job['id']}-errors.jsonl" in lines.headers["Content-Disposition"]
    assert csv.text == "row,column,code,message\n2,sepal_length,unreadable_input,'wide' is not a number\n"
    assert pd.read_parquet(io.BytesIO(parquet.content)).to_dict("records") == [error]
    part = await user.get(f"/{job['id']}/errors?format=csv", Range="bytes=4-9")
    assert (part.status_code, part.text) == (206, "column")
    assert (await user.get(f"/{job['id']}/errors?format=xml")).status_code in (400, 422)


@pytest.mark.usefixtures("iris")
@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "nobody"}, 404, "model_not_found"),
        ({"version": "7"}, 404, "version_not_found"),
        ({"version": "first"}, 422, "invalid_input"),
        ({"output_format": "xlsx"}, 422, "invalid_input"),
        ({"include": "[1"}, 422, "invalid_option"),
        ({"include": "id,id"}, 422, "invalid_option"),
        ({"metadata": "[]"}, 422, "invalid_option"),
        ({"metadata": '{"a": "' + "x" * 5000 + '"}'}, 422, "invalid_option"),
        ({"callback_url": "ftp://example.com"}, 422, "callback_url_refused"),
        ({"on_error": "maybe"}, 422, "invalid_input"),
        ({"priority": "urgent"}, 422, "invalid_input"),
        ({"colour": "red"}, 400, "malformed_request"),
    ],
)
async def test_a_wrong_option_is_refused_and_leaves_nothing(
    user: Client, settings: Settings, fields: dict[str, str], status: int, code: str
):
    answer = await user.submit(**fields)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert next(iter(fields)) in answer.text or "nobody" in answer.text
    assert stored_files(settings) == set()
    assert (await user.get("")).json()["items"] == []


@pytest.mark.usefixtures("iris")
@pytest.mark.parametrize(
    ("name", "content", "status", "says"),
    [
        ("rows.csv", b"", 422, "missing or empty"),
        ("rows.xlsx", b"PK\x03\x04 and so on", 415, "Excel"),
        ("rows.csv.gz", b"\x1f\x8b and so on", 415, "gzip"),
        ("rows.csv.gz", gzip.compress(b"PAR1"), 415, "what is in it is no text"),
        ("rows.parquet", b"a,b\n1,2\n", 415, "not Parquet, though its name says so"),
        ("rows.csv", b"a\0b", 415, "neither Parquet nor text"),
        ("rows.csv", "a,b\n1,2\n".encode("utf-16-le"), 415, "UTF-16"),
    ],
)
async def test_a_file_of_another_format_is_refused_and_leaves_nothing(
    user: Client, settings: Settings, *, name: str, content: bytes, status: int, says: str
):
    answer = await user.submit(content, name=name)

    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert stored_files(settings) == set()


async def test_a_model_without_a_ready_version_is_refused(user: Client, upload: Upload, judge: Judge):
    answer = await upload("iris")
    waiting = await user.submit()
    await judge(answer["version"]["id"], REJECTED)

    rejected = await user.submit(version="1")

    assert (waiting.status_code, waiting.json()["code"]) == (409, "version_not_servable")
    assert (rejected.status_code, rejected.json()["code"]) == (409, "version_not_servable")
    assert "the file is a text" in rejected.json()["detail"]


@pytest.mark.usefixtures("iris")
async def test_a_job_is_cancelled_once_and_says_so(user: Client, job_context: JobContext):
    job_id = (await user.submit()).json()["id"]

    cancelled = await user.cancel(job_id)
    again = await user.cancel(job_id)

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert again.json()["cancelled_at"] == cancelled.json()["cancelled_at"]
    result = await user.get(f"/{job_id}/result")
    assert (result.status_code, result.json()["code"]) == (409, "no_result")
    assert "cancelled" in result.json()["detail"]
    await plan_job(job_context, UUID(job_id))
    assert (await user.get(f"/{job_id}")).json()["status"] == "cancelled"


@pytest.mark.usefixtures("iris")
async def test_a_job_that_has_succeeded_cannot_be_cancelled(user: Client, job_context: JobContext):
    job_id = (await user.submit()).json()["id"]
    await plan_job(job_context, UUID(job_id))
    await run_chunk(job_context, UUID(job_id), 0)
    await finish_job(job_context, UUID(job_id))

    answer = await user.cancel(job_id)

    assert (answer.status_code, answer.json()["code"]) == (409, "job_ended")


@pytest.mark.usefixtures("iris")
async def test_a_job_answers_when_it_changes_and_not_before(user: Client, job_context: JobContext):
    job_id = (await user.submit()).json()["id"]
    seen = (await user.get(f"/{job_id}")).headers["ETag"]

    same = await user.get(f"/{job_id}?wait=0.1", **{"If-None-Match": seen})
    await plan_job(job_context, UUID(job_id))
    news = await user.get(f"/{job_id}?wait=30", **{"If-None-Match": seen})

    assert same.status_code == 304
    assert (news.status_code, news.json()["status"]) == (200, "queued")


@pytest.mark.usefixtures("iris")
async def test_jobs_are_listed_newest_first_in_pages_and_by_state(user: Client):
    ids = [(await user.submit()).json()["id"] for _ in range(3)]
    await user.cancel(ids[1])

    first = (await user.get("?limit=2")).json()
    second = (await user.get(f"?limit=2&cursor={first['next_cursor']}")).json()
    waiting = (await user.get("?status=validating&model=iris")).json()

    assert [job["id"] for job in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None
    assert [job["id"] for job in waiting["items"]] == [ids[2], ids[0]]
    assert (await user.get("?model=other")).json()["items"] == []


@pytest.mark.usefixtures("iris")
async def test_another_tenants_job_is_not_there(user: Client, client: AsyncClient, stranger: Account):
    job_id = (await user.submit()).json()["id"]
    other = Client(client, stranger)

    answers = [
        await other.get(f"/{job_id}"),
        await other.get(f"/{job_id}/result"),
        await other.get(f"/{job_id}/errors"),
        await other.cancel(job_id),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert (await other.get("")).json()["items"] == []
    assert (await user.get(f"/{uuid4()}")).json()["code"] == "job_not_found"
    assert (await user.get("/no-id")).status_code == 404


@pytest.mark.usefixtures("iris")
@pytest.mark.parametrize("is_multipart", [True, False])
async def test_a_job_may_name_where_its_file_lies(
    client: AsyncClient, account: Account, file_server: FileServer, *, is_multipart: bool
):
    url = file_server.put("/flowers.csv", CSV)
    fields = {"model": "iris", "url": f"{url}?sig=hunter2"}
    body = (
        {"files": {name: (None, value) for name, value in fields.items()}}
        if is_multipart
        else {"data": fields}
    )

    answer = await client.post("/api/v1/jobs", headers=account.headers, **body)

    assert answer.status_code == 202
    assert answer.json()["input"] == {
        "file_name": "flowers.csv",
        "format": None,
        "size_bytes": None,
        "sha256": None,
        "url": url,
    }
    assert "hunter2" not in answer.text
    assert file_server.asked == []  # that is the worker's


@pytest.mark.usefixtures("iris")
async def test_a_job_has_one_input(user: Client, settings: Settings):
    answer = await user.submit(url="https://example.com/rows.csv")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/url"
    assert stored_files(settings) == set()


@pytest.mark.usefixtures("iris")
@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "iris"}, 422, "invalid_input"),
        ({"model": "iris", "url": "s3://elsewhere/rows.csv"}, 422, "input_url_refused"),
        ({"model": "iris", "url": "https://me:hunter2@224.0.0.1/?sig=hunter2"}, 422, "input_url_refused"),
        ({"model": "iris", "url": "https://example.com/a", "output_format": "arrow"}, 422, "invalid_option"),
        ({"model": "none", "url": "https://example.com/a"}, 404, "model_not_found"),
        ({"url": "https://example.com/a"}, 422, "invalid_input"),
        ({"model": "iris", "file": "rows.csv"}, 400, "malformed_request"),
        ({"model": ["iris", "iris"], "url": "https://example.com/a"}, 400, "malformed_request"),
        ({"model": "iris", "url": "x" * 2_000_000}, 413, "too_large"),
    ],
)
async def test_a_form_of_fields_that_does_not_fit_is_refused(
    client: AsyncClient, account: Account, *, fields: dict[str, Any], status: int, code: str
):
    answer = await client.post("/api/v1/jobs", headers=account.headers, data=fields)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "hunter2" not in answer.text
