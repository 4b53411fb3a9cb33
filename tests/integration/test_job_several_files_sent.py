"""Several files in one submission over HTTP."""

import asyncio
import hashlib
import io
from pathlib import Path
from uuid import UUID

import joblib
import pandas as pd
import pytest
from httpx import AsyncClient, Response

from shared.settings import Settings
from tests.fixtures.api import Account, Judge, Upload
from tests.fixtures.models import OpenModel
from workers.jobs.context import JobContext
from workers.jobs.finish import finish_job
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

HEADER = b"sepal_length,sepal_width,petal_length,petal_width\n"
FIRST, SECOND = HEADER + b"5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n", HEADER + b"6.0,2.9,4.5,1.5\n"


@pytest.fixture
async def _iris(upload: Upload, judge: Judge, iris_on_frame: Path, open_model: OpenModel) -> None:
    _, verdict = open_model(iris_on_frame)
    answer = await upload("iris", content=await asyncio.to_thread(iris_on_frame.read_bytes))
    await judge(answer["version"]["id"], verdict)


async def send(client: AsyncClient, account: Account, *files: tuple[str, bytes], **headers: str) -> Response:
    return await client.post(
        "/api/v1/jobs",
        files=[("file", file) for file in files],
        data={"model": "iris"},
        headers=account.headers | headers,
    )


def stored_names(settings: Settings) -> set[str]:
    folder = Path(settings.storage_url.removeprefix("file://")) / "jobs"
    return {file.name for file in folder.rglob("*") if file.is_file()}


@pytest.mark.usefixtures("_iris")
async def test_a_folder_as_spark_writes_it_becomes_one_job(
    client: AsyncClient, account: Account, settings: Settings, *, job_context: JobContext, iris_on_frame: Path
):
    answer = await send(
        client,
        account,
        ("out/_SUCCESS", b"x"),
        ("out/.part-0.csv.crc", b"crc"),
        ("out/part-0.csv", FIRST),
        ("out/part-1.csv", SECOND),
    )

    assert answer.status_code == 202, answer.text
    job = answer.json()
    lines = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in (("out/part-0.csv", FIRST), ("out/part-1.csv", SECOND))
    )
    assert job["input"] == {
        "file_name": "out/part-0.csv",
        "format": "csv",
        "size_bytes": len(FIRST) + len(SECOND),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
        "files": 2,
    }
    assert stored_names(settings) == {"input.2", "input.3"}
    await plan_job(job_context, UUID(job["id"]))
    await run_chunk(job_context, UUID(job["id"]), 0)
    await run_chunk(job_context, UUID(job["id"]), 1)
    await finish_job(job_context, UUID(job["id"]))
    result = await client.get(f"/api/v1/jobs/{job['id']}/result", headers=account.headers)
    rows = pd.concat(pd.read_csv(io.BytesIO(content)) for content in (FIRST, SECOND))
    assert pd.read_csv(io.BytesIO(result.content))["prediction"].tolist() == list(
        joblib.load(iris_on_frame).predict(rows)
    )


@pytest.mark.usefixtures("_iris")
async def test_files_that_no_job_can_be_made_of_are_refused_and_leave_nothing(
    client: AsyncClient, account: Account, settings: Settings
):
    mixed = await send(client, account, ("a.csv", FIRST), ("b.jsonl", b'{"sepal_length": 1}\n'))
    hidden = await send(client, account, ("_SUCCESS", b"x"), (".hidden", b"x"))

    assert (mixed.status_code, mixed.json()["code"]) == (415, "unsupported_format")
    assert "'a.csv' is csv and 'b.jsonl' is jsonl" in mixed.text
    assert (hidden.status_code, hidden.json()["code"]) == (422, "invalid_input")
    assert stored_names(settings) == set()


@pytest.mark.usefixtures("_iris")
async def test_the_same_files_in_the_same_order_are_the_same_job_under_one_key(
    client: AsyncClient, account: Account, settings: Settings
):
    key = {"Idempotency-Key": "a folder"}
    first = await send(client, account, ("a.csv", FIRST), ("b.csv", SECOND), **key)

    again = await send(client, account, ("a.csv", FIRST), ("b.csv", SECOND), **key)
    others = [
        await send(client, account, ("b.csv", SECOND), ("a.csv", FIRST), **key),
        await send(client, account, ("a.csv", FIRST), ("c.csv", SECOND), **key),
        await send(client, account, ("a.csv", FIRST), **key),
    ]

    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert {other.json()["code"] for other in others} == {"idempotency_key_reused"}
    folder = Path(settings.storage_url.removeprefix("file://")) / "jobs"
    assert [file.parent.name for file in folder.glob("*/*")] == [first.json()["id"]] * 2
