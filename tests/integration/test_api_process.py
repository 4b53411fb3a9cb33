"""`python -m api` as operators meet it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys

import msgspec
import pytest
from httpx import AsyncClient

from tests.fixtures.processes import ROOT, peak_memory, started

MIB = 1024 * 1024


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
async def process(settings, free_port, tmp_path):
    chosen = msgspec.structs.replace(settings, port=free_port, drain_s=1.0)
    with started("api", chosen, tmp_path / "api.log") as api:
        await api.wait_for_log("Application startup complete")
        yield api


@pytest.fixture
async def network(process, free_port):  # noqa: ARG001  the process must be there
    async with AsyncClient(base_url=f"http://127.0.0.1:{free_port}", timeout=60) as client:
        yield client


def pieces(size_bytes):
    async def generate():
        piece = os.urandom(64 * 1024)
        for _ in range(size_bytes // len(piece)):
            yield piece

    return generate()


async def test_a_big_raw_body_costs_little_memory(process, network, account):
    with peak_memory(process) as peaks:
        answer = await network.put(
            "/api/v1/models/big/versions",
            content=pieces(128 * MIB),
            headers={**account.headers, "Prefer": "wait=0"},
        )

    assert answer.json()["version"]["size_bytes"] == 128 * MIB
    assert peaks[0] < 50 * MIB


async def test_a_big_form_costs_little_memory(process, network, account, tmp_path):
    big = tmp_path / "big.pkl"
    with big.open("wb") as file:
        file.truncate(128 * MIB)

    with peak_memory(process) as peaks, big.open("rb") as file:
        answer = await network.post(
            "/api/v1/models/upload",
            files={"file": file},
            data={"name": "big"},
            headers={**account.headers, "Prefer": "wait=0"},
        )

    assert answer.json()["version"]["size_bytes"] == 128 * MIB
    assert peaks[0] < 50 * MIB


async def test_an_upload_that_is_cut_off_leaves_nothing(process, free_port, account, tmp_path):
    reader, writer = await asyncio.open_connection("127.0.0.1", free_port)
    head = (
        "PUT /api/v1/models/cut/versions HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {account.token}\r\nContent-Length: 100000000\r\n\r\n"
    )
    writer.write(head.encode() + b"x" * 10 * MIB)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    del reader

    await process.wait_for_log('"path": "/api/v1/models/cut/versions", "status": 400')
    assert [path for path in (tmp_path / "storage").rglob("*") if path.is_file()] == []


async def test_it_stops_being_ready_before_it_stops(process, network):
    process.popen.send_signal(signal.SIGTERM)

    async with asyncio.timeout(5):
        while (await network.get("/readyz")).json()["checks"] != {"process": "draining"}:
            pass
    assert (await network.get("/livez")).status_code == 200
    assert await process.wait_until_ended() == 0


async def test_a_request_in_flight_is_answered_before_it_stops(process, network, account):
    waiting = asyncio.create_task(
        network.put(
            "/api/v1/models/iris/versions",
            content=b"a model",
            headers={**account.headers, "Prefer": "wait=3"},
        )
    )
    await asyncio.sleep(0.5)  # until it waits for a verdict that does not come
    process.popen.send_signal(signal.SIGTERM)

    assert (await waiting).status_code == 201
    assert await process.wait_until_ended() == 0


async def test_every_line_of_the_log_is_json_and_carries_the_request(process, network):
    await network.get("/nowhere", headers={"X-Request-Id": "find-me"})
    await process.wait_for_log("find-me")

    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    line = next(line for line in lines if line.get("request_id") == "find-me")
    assert (line["method"], line["path"], line["status"], line["process"]) == ("GET", "/nowhere", 404, "api")
    assert line["duration_ms"] > 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [({}, "is taken"), ({"SECRET_KEY": "short"}, "SECRET_KEY"), ({"DATABASE_URL": ""}, "DATABASE_URL")],
)
async def test_what_an_operator_must_mend_is_one_line(settings, changes, says):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        env = {
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "STORAGE_URL": settings.storage_url,
            "SECRET_KEY": settings.secret_key,
            "PORT": str(listener.getsockname()[1]),
            **changes,
        }
        ended = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "api"], env=env, cwd=ROOT, capture_output=True, check=False
        )

    assert ended.returncode == 1
    assert says in ended.stderr.decode()
    assert len(ended.stderr.decode().splitlines()) == 1
