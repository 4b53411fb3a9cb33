"""One row among a million ends the model's process: what becomes of it is told over HTTP, and nothing else is
lost."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from httpx import AsyncClient

from tests.fixtures.touchy import CRASHES, saved

ROWS, POISON = 1_000_000, 777_777


@pytest.fixture(scope="module")
def rows() -> bytes:
    first = np.arange(ROWS, dtype=float)
    first[POISON] = CRASHES
    file = io.BytesIO()
    table = pa.table({"id": np.arange(ROWS), "x0": first, "x1": np.zeros(ROWS)})
    pq.write_table(table, file, row_group_size=100_000)
    return file.getvalue()


@pytest.fixture
async def client(platform, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    """Somebody whose model takes offence at single rows."""
    account = {"email": f"{tmp_path.name}@example.com", "password": "SecureP@ss123"}
    async with AsyncClient(base_url=f"{platform.base_url}/api/v1", timeout=60) as client:
        await client.post("/auth/register", json={**account, "full_name": "Poi Son"})
        token = (await client.post("/auth/login", json=account)).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        model = saved(tmp_path / "touchy.pkl").read_bytes()
        answer = await client.post(
            "/models/upload", files={"file": model}, data={"name": "touchy"}, headers={"Prefer": "wait=60"}
        )
        assert answer.json()["version"]["status"] == "ready"
        yield client


async def ended(client: AsyncClient, rows: bytes, **form: str) -> dict:
    """A job for the file, once it has ended."""
    files, data = {"file": ("rows.parquet", rows)}, {"model": "touchy", "include": "id", **form}
    job = (await client.post("/jobs", files=files, data=data)).json()
    while job["status"] not in {"succeeded", "failed"}:
        job = (await client.get(f"/jobs/{job['id']}", params={"wait": 5})).json()
    return job


async def test_a_poisonous_row_fails_its_job_after_the_attempts_and_is_named(
    client: AsyncClient, rows: bytes
):
    job = await ended(client, rows)

    assert job["status"] == "failed"
    assert job["error"]["code"] == "model_crashed"
    assert job["error"]["row"] == POISON
    assert job["error"]["chunk"] >= 1
    assert job["error"]["message"].startswith(f"row {POISON}: the model's process crashed (SIGSEGV)")


async def test_a_poisonous_row_is_the_only_one_left_out_of_a_job_that_skips(client: AsyncClient, rows: bytes):
    job = await ended(client, rows, on_error="skip")

    assert job["status"] == "succeeded", job["error"]
    assert job["rows"] == {"total": ROWS, "done": ROWS - 1, "failed": 1}
    (told,) = (await client.get(f"/jobs/{job['id']}/errors")).text.splitlines()
    error = json.loads(told)
    assert (error["row"], error["code"]) == (POISON, "model_crashed")
    result = (await client.get(f"/jobs/{job['id']}/result")).content
    output = pq.read_table(io.BytesIO(result))
    left = np.delete(np.arange(ROWS), POISON)
    assert np.array_equal(output["id"].to_numpy(), left)
    assert np.array_equal(output["prediction"].to_numpy(), left * 2.0)
