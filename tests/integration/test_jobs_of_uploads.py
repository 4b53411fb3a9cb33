"""Jobs whose file was uploaded before."""

import asyncio
import io
from pathlib import Path
from typing import Any
from uuid import UUID

import joblib
import pandas as pd
import pytest
from httpx import AsyncClient, Response

from shared.settings import Settings
from shared.storage.store import Storage
from tests.fixtures.api import Account, Judge, Upload
from tests.fixtures.models import OpenModel
from workers.jobs.context import JobContext
from workers.jobs.finish import finish_job
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

CSV = b"sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n"


class Client:
    """Somebody who uploads files and makes jobs of them."""

    def __init__(self, client: AsyncClient, account: Account) -> None:
        self._client, self._headers = client, account.headers

    async def upload(self, *parts: bytes) -> str:
        begin = {"file_name": "rows.csv", "size_bytes": len(CSV)}
        upload = (await self._client.post("/api/v1/uploads", json=begin, headers=self._headers)).json()["id"]
        sent = 0
        for part in parts:
            headers = self._headers | {"Upload-Offset": str(sent)}
            answer = await self._client.patch(f"/api/v1/uploads/{upload}", content=part, headers=headers)
            assert answer.status_code == 200, answer.text
            sent += len(part)
        return upload

    async def submit(self, **fields: str) -> Response:
        form = {name: (None, value) for name, value in ({"model": "iris"} | fields).items()}
        return await self._client.post("/api/v1/jobs", files=form, headers=self._headers)

    async def get(self, path: str) -> Response:
        return await self._client.get(f"/api/v1{path}", headers=self._headers)

    async def delete(self, upload: str) -> None:
        await self._client.delete(f"/api/v1/uploads/{upload}", headers=self._headers)


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


def inputs(settings: Settings) -> list[bytes]:
    """The files of all jobs."""
    folder = Path(settings.storage_url.removeprefix("file://")) / "jobs"
    return [file.read_bytes() for file in folder.rglob("input")]


@pytest.mark.usefixtures("iris")
async def test_an_upload_is_predicted_row_by_row_even_when_it_is_deleted(
    user: Client, job_context: JobContext, iris_on_frame: Path
):
    upload = await user.upload(CSV[:60], CSV[60:])
    job = (await user.submit(upload_id=upload, include="none")).json()
    await user.delete(upload)

    await plan_job(job_context, UUID(job["id"]))
    await run_chunk(job_context, UUID(job["id"]), 0)
    await finish_job(job_context, UUID(job["id"]))
    result = await user.get(f"/jobs/{job['id']}/result")

    labels = joblib.load(iris_on_frame).predict(pd.read_csv(io.BytesIO(CSV)))
    assert job["input"]["file_name"] == "rows.csv"
    assert result.content == b"prediction\n" + "".join(f"{label}\n" for label in labels).encode()


@pytest.mark.usefixtures("iris")
async def test_several_jobs_use_one_upload(user: Client, settings: Settings):
    upload = await user.upload(CSV)

    answers = [await user.submit(upload_id=upload), await user.submit(upload_id=upload, include="none")]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert inputs(settings) == [CSV, CSV]


@pytest.mark.usefixtures("iris")
async def test_an_upload_that_is_not_complete_makes_no_job(user: Client, settings: Settings):
    upload = await user.upload(CSV[:60])

    answer = await user.submit(upload_id=upload)

    assert (answer.status_code, answer.json()["code"]) == (409, "upload_incomplete")
    assert f"60 of {len(CSV)} bytes" in answer.json()["detail"]
    assert inputs(settings) == []


async def test_a_job_that_is_refused_leaves_no_copy(user: Client, settings: Settings):
    upload = await user.upload(CSV)

    answer = await user.submit(upload_id=upload, model="nothing")

    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")
    assert inputs(settings) == []


async def test_a_file_and_an_upload_at_once_are_refused(
    user: Client, client: AsyncClient, account: Account, settings: Settings
):
    upload = await user.upload(CSV)

    both = await client.post(
        "/api/v1/jobs",
        files={"file": ("rows.csv", CSV)},
        data={"model": "iris", "upload_id": upload},
        headers=account.headers,
    )
    neither = await user.submit()

    assert (both.status_code, both.json()["errors"][0]["pointer"]) == (422, "/upload_id")
    assert (neither.status_code, neither.json()["errors"][0]["pointer"]) == (422, "/file")
    assert inputs(settings) == []


async def test_a_copy_is_another_name_of_the_same_bytes(storage: Storage, user: Client, settings: Settings):
    await user.upload(CSV)
    folder = Path(settings.storage_url.removeprefix("file://"))
    (whole,) = (folder / "uploads").glob("*/whole.*")

    await storage.copy(str(whole.relative_to(folder)), "jobs/one/input")

    assert (folder / "jobs/one/input").samefile(whole)
