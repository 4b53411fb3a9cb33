"""The whole platform with its files in a bucket: from the upload of a model to the download of results."""

import io
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
from httpx import Client, Response

from tests.fixtures.object_store import BUCKET, SECRET, ObjectServer
from tests.fixtures.platform import Platform, launched, package_sources
from tests.fixtures.servers import environment_settings, server_folder
from tests.fixtures.slow import COLUMNS, save_slow_model

ROWS = 40_000
# Small, so that a job has a middle, and so that whoever lost the store takes up the work again soon.
BRISK = {"CHUNK_BYTES": "250000", "CHUNK_BATCH_ROWS": "1000", "JOB_THREADS": "1", "LEASE_S": "5"}
FORMATION = {"FORMATION": "webhooks=0"}


@pytest.fixture(scope="module")
def platform_on_s3(object_server: ObjectServer) -> Iterator[Platform]:
    given = environment_settings() | package_sources() | object_server.environment | BRISK | FORMATION
    url = f"s3://{BUCKET}/the%20whole/platform"
    with server_folder() as folder, launched(folder / "data", STORAGE_URL=url, **given) as platform:
        platform.wait_until_ready()
        yield platform


@pytest.fixture(scope="module")
def client(platform_on_s3: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Somebody logged in, with a model."""
    account = {"email": "bucket@example.com", "password": "SecureP@ss123"}
    with Client(base_url=f"{platform_on_s3.base_url}/api/v1", timeout=90) as client:
        client.post("/auth/register", json={**account, "full_name": "Buck Et"})
        token = client.post("/auth/login", json=account).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        model = save_slow_model(tmp_path_factory.mktemp("models") / "slow.pkl").read_bytes()
        answer = client.post(
            "/models/upload",
            files={"file": ("slow.pkl", model)},
            data={"name": "slow"},
            headers={"Prefer": "wait=60"},
        )
        assert answer.json()["version"]["status"] == "ready", answer.text
        yield client


@pytest.fixture(scope="module")
def numbers() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(1).normal(size=(ROWS, 3)), columns=COLUMNS)


def parquet_of(numbers: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    numbers.to_parquet(file, index=False, row_group_size=10_000)
    return file.getvalue()


def submitted(client: Client, content: bytes, **form: str) -> str:
    answer = client.post("/jobs", files={"file": ("rows", content)}, data={"model": "slow", **form})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def ended(client: Client, job_id: str) -> Response:
    """The result of the job, once it has ended."""
    deadline = time.monotonic() + 120
    while (job := client.get(f"/jobs/{job_id}").json())["status"] not in ("succeeded", "failed"):
        assert time.monotonic() < deadline, job
        time.sleep(0.2)
    assert job["status"] == "succeeded", job
    return client.get(f"/jobs/{job_id}/result")


def until_in_the_middle(client: Client, job_id: str) -> None:
    deadline = time.monotonic() + 60
    while not 0 < (job := client.get(f"/jobs/{job_id}").json())["rows"]["done"] < ROWS:
        assert time.monotonic() < deadline, job
        time.sleep(0.05)


def check_parquet(content: bytes, numbers: pd.DataFrame) -> None:
    """Every row once, in order, with its prediction."""
    output = pq.read_table(io.BytesIO(content)).to_pandas()
    assert output.pop("prediction").tolist() == numbers.to_numpy().sum(axis=1).tolist()
    pd.testing.assert_frame_equal(output, numbers)


def test_a_model_in_a_bucket_predicts(client: Client):
    answer = client.post("/predict/slow", json={"inputs": [[1, 2, 3]]})

    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == [6.0]


def test_a_csv_job_is_read_from_the_bucket_and_its_result_sent_by_ranges(client: Client):
    job_id = submitted(client, b"a,b,c\n1,2,3\n4,5,6\n")

    whole = ended(client, job_id)
    part = client.get(f"/jobs/{job_id}/result", headers={"Range": "bytes=0-3"})
    end = client.get(f"/jobs/{job_id}/result", headers={"Range": "bytes=-4"})

    assert whole.text.splitlines()[1:] == ["1,2,3,6", "4,5,6,15"]
    assert (part.status_code, part.content) == (206, whole.content[:4])
    assert (end.status_code, end.content) == (206, whole.content[-4:])


def test_a_result_is_fetched_by_a_link_into_the_bucket(client: Client):
    job_id = submitted(client, b"a,b,c\n1,2,3\n")
    whole = ended(client, job_id)

    sent_on = client.get(f"/jobs/{job_id}/result", params={"redirect": True})
    link = sent_on.headers["Location"]
    by_link, by_another = httpx.get(link), httpx.get(link.replace("X-Amz-Expires=300", "X-Amz-Expires=3000"))

    assert sent_on.status_code == 307
    assert (by_link.status_code, by_link.content) == (200, whole.content)
    assert by_link.headers["Content-Type"] == whole.headers["Content-Type"]
    assert by_link.headers["Content-Disposition"] == whole.headers["Content-Disposition"]
    assert by_another.status_code == 403


def test_a_job_outlives_a_store_that_is_silent_for_a_while(
    client: Client, object_server: ObjectServer, numbers: pd.DataFrame
):
    job_id = submitted(client, parquet_of(numbers))
    until_in_the_middle(client, job_id)

    object_server.hold_still()
    time.sleep(3)
    object_server.go_on()

    check_parquet(ended(client, job_id).content, numbers)


def test_the_secret_of_the_bucket_is_in_no_log_and_no_answer(client: Client, platform_on_s3: Platform):
    answers = client.get("/openapi.json").text + client.get("/jobs").text

    assert SECRET not in platform_on_s3.log.read_text()
    assert SECRET not in answers


def test_neither_model_hosts_nor_what_they_are_forked_from_know_the_way_to_the_bucket(
    platform_on_s3: Platform,
):
    workers = [
        psutil.Process(pid) for name, pid in platform_on_s3.pids().items() if name in ("predict", "batch")
    ]

    below = [child for worker in workers for child in worker.children(recursive=True)]

    assert len(workers) == 2
    assert "AWS_SECRET_ACCESS_KEY" in workers[0].environ()
    assert len(below) >= 3  # a template each, and the hosts
    assert [name for child in below for name in child.environ() if name.startswith("AWS_")] == []


def test_wrong_credentials_are_told_before_anything_is_started(object_server: ObjectServer):
    wrong = object_server.environment | {"AWS_SECRET_ACCESS_KEY": "not the secret of this bucket"}
    with (
        server_folder() as folder,
        launched(folder / "data", STORAGE_URL=f"s3://{BUCKET}/x", **wrong) as platform,
    ):
        assert platform.launcher.wait(timeout=60) != 0

        told = platform.log.read_text()

    assert "STORAGE_URL: the store of STORAGE_URL refuses us: its credentials are wrong" in told
    assert "AWS_SECRET_ACCESS_KEY" in told
    assert "not the secret" not in told
    assert "Traceback" not in told
