"""Health as load balancers and supervisors see it."""

import pytest

from shared.predictions.placement import Heartbeats, WorkerState


@pytest.fixture
def beat(redis, settings):
    """A predict worker's heart beats once."""
    heartbeats = Heartbeats(redis, heartbeat_s=settings.worker_heartbeat_s)

    async def once():
        await heartbeats.beat(WorkerState(worker_id="w1", capacity=1, versions=[]))

    return once


async def test_a_process_that_runs_is_alive(client):
    answer = await client.get("/livez")

    assert (answer.status_code, answer.json()) == (200, {"live": True})


async def test_with_every_server_and_a_worker_it_is_ready(client, beat):
    await beat()

    answer = await client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "live": True,
        "checks": {"postgres": "ok", "redis": "ok", "predict_workers": "ok"},
    }


async def test_without_a_worker_it_is_not_ready_and_says_so(client):
    answer = await client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["predict_workers"] == "no predict worker is alive"


async def test_while_it_drains_it_is_alive_but_not_ready(app, client, beat):
    await beat()
    app.state.readiness.draining = True

    assert (await client.get("/livez")).status_code == 200
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]) == (503, {"process": "draining"})
