"""Keys that are confined to some models: what belongs to the others is not there for them."""

from collections import defaultdict
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from httpx import AsyncClient
from litestar import Litestar
from sqlalchemy import update

from api.routing import Routes
from shared.access.caller import Caller
from shared.catalog.tables import ModelRow
from shared.database.engine import Database
from shared.jobs.tables import JobRow
from shared.webhooks.tables import DeliveryRow
from tests.fixtures.api import Account, Upload

ROWS = {"rows": [{"sepal_length": 5.1, "sepal_width": 3.5}]}
NOT_THERE = {"model_not_found", "job_not_found", "schedule_not_found", "upload_not_found"}
# Of an operation that needs more than its path to get as far as its model, job or schedule.
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("patch", "/models/{model}"): {"json": {"description": "mine"}},
    ("post", "/predict/{model}"): {"json": {"inputs": [[5.1, 3.5]]}},
    ("put", "/jobs/{job}"): {"json": {"model": "theirs", "input": ROWS}},
    ("post", "/jobs"): {"json": {"model": "theirs", "input": ROWS}},
    ("post", "/schedules"): {
        "json": {"name": "new", "job": {"model": "theirs", "input": ROWS}, "cron": "0 4 * * *"}
    },
    ("patch", "/schedules/{schedule}"): {"json": {"enabled": False}},
    ("patch", "/uploads/{upload}"): {
        "content": b"x",
        "headers": {"Upload-Offset": "0", "Upload-Complete": "?1"},
    },
}
# These make a new thing, or are told 403 rather than 404: in tests of their own.
UPLOADING = {("put", "/models/{model}/versions"), ("post", "/models/upload"), ("post", "/uploads")}


class Key:
    """A key that may use one of the account's models, `mine`; `theirs` is another."""

    def __init__(self, client: AsyncClient, secret: str) -> None:
        self._client, self._headers = client, {"X-API-Key": secret}

    async def call(self, method: str, path: str, **request: Any) -> tuple[int, Any]:
        headers = self._headers | request.pop("headers", {})
        answer = await self._client.request(method, f"/api/v1{path}", headers=headers, **request)
        is_json = "json" in answer.headers.get("content-type", "") and answer.content
        return answer.status_code, answer.json() if is_json else answer.content


@pytest.fixture
async def things(client: AsyncClient, account: Account, served: Upload, database: Database) -> dict[str, Any]:
    """Two models; a job, a schedule, an upload and a delivery that belong to `theirs`."""
    mine, theirs = await served("mine"), await served("theirs")

    async def make(path: str, body: Any, **headers: str) -> Any:
        answer = await client.post(f"/api/v1{path}", json=body, headers=account.headers | headers)
        assert answer.is_success, answer.text
        return answer.json()

    job = await make("/jobs", {"model": "theirs", "input": ROWS}, **{"Idempotency-Key": "nightly"})
    schedule = await make(
        "/schedules", {"name": "night", "job": {"model": "theirs", "input": ROWS}, "cron": "0 4 * * *"}
    )
    upload = (await client.post("/api/v1/uploads", headers=account.headers)).json()
    async with database.transaction() as session:
        session.add(
            DeliveryRow(
                tenant_id=account.tenant_id,
                job_id=job["id"],
                url="https://example.com",
                target="example.com:443",
                event_type="job.succeeded",
                body="{}",
                status="delivered",
            )
        )
    ids = {"job": job["id"], "schedule": schedule["id"], "upload": upload["id"], "number": 1}
    return {"mine": mine["id"], "model": theirs["id"], **ids}


@pytest.fixture
async def key(client: AsyncClient, account: Account, things: dict[str, Any]) -> Key:  # noqa: ARG001  its model
    body = {"name": "confined", "models": ["mine"]}
    made = await client.post("/api/v1/api-keys", json=body, headers=account.headers)
    assert made.status_code == 201, made.text
    return Key(client, made.json()["secret"])


async def test_no_operation_reaches_what_belongs_to_another_model(
    client: AsyncClient, account: Account, key: Key, things: dict[str, Any]
) -> None:
    document = (await client.get("/openapi.json")).json()
    operations = [
        (method, path.removeprefix("/api/v1"))
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith("/api/v1/") and ("{" in path or (method, path[7:]) in BODIES)
    ]
    walked = [each for each in operations if each not in UPLOADING and "{key}" not in each[1]]
    reached = {}
    for method, path in walked:
        # Other names than these are of things that belong to no model; a PUT names a new job.
        given = defaultdict(uuid4, things | ({"job": uuid4()} if method == "put" else {}))
        status, body = await key.call(method, path.format_map(given), **BODIES.get((method, path), {}))
        code = None if method == "head" else body["code"]
        is_closed = (status, code) == (403, "model_not_granted")
        if not (is_closed or (status == 404 and code in NOT_THERE | {None})):
            reached[method, path] = status, body

    assert reached == {}
    assert len(walked) >= 30  # or nothing was tried
    # And all of it is still there.
    for path in ("/models/{model}", "/jobs/{job}", "/schedules/{schedule}", "/uploads/{upload}"):
        found = await client.get(f"/api/v1{path.format(**things)}", headers=account.headers)
        assert found.status_code == 200
    job = await client.get(f"/api/v1/jobs/{things['job']}", headers=account.headers)
    assert job.json()["ended_at"] is None  # nobody cancelled it


async def test_lists_leave_out_what_belongs_to_another_model_and_what_belongs_to_none_is_closed(
    client: AsyncClient, account: Account, key: Key
) -> None:
    for path, left in [
        ("/models", ["mine"]),
        ("/jobs", []),
        ("/jobs?model=theirs", []),
        ("/schedules", []),
        ("/uploads", []),
        ("/webhooks/deliveries", []),
    ]:
        status, page = await key.call("GET", path)
        everything = (await client.get(f"/api/v1{path}", headers=account.headers)).json()["items"]

        assert (status, [each.get("name") for each in page["items"]]) == (200, left), path
        assert len(everything) > len(left)
    status, problem = await key.call("GET", "/webhooks/secret")
    assert (status, problem["code"]) == (403, "model_not_granted")
    assert (await key.call("GET", "/auth/me"))[0] == 200


async def test_its_own_model_is_there_with_all_that_belongs_to_it(key: Key, things: dict[str, Any]) -> None:
    body = {"model": "mine", "input": ROWS}
    status, job = await key.call("POST", "/jobs", json=body)
    assert status == 202
    status, schedule = await key.call(
        "POST", "/schedules", json={"name": "new", "job": body, "cron": "0 4 * * *"}
    )
    assert status == 201
    status, upload = await key.call("POST", "/uploads")
    assert status == 201

    for path in (
        "/models/mine",
        f"/models/{things['mine']}/versions/1",
        "/models/mine/analytics",
        f"/jobs/{job['id']}",
        f"/schedules/{schedule['id']}",
        f"/uploads/{upload['id']}",
    ):
        assert (await key.call("GET", path))[0] == 200, path
    for path in ("/jobs", "/schedules", "/uploads"):
        assert len((await key.call("GET", path))[1]["items"]) == 1, path
    status, problem = await key.call(
        "POST", "/predict/mine", json={"inputs": [[5.1, 3.5]]}, headers={"X-Deadline-Ms": "50"}
    )
    assert (status, problem["code"]) == (503, "model_loading")  # no worker runs here; it was let through


async def test_it_adds_versions_to_its_model_and_makes_no_model(key: Key) -> None:
    form = {"files": {"file": ("model.pkl", b"a model")}, "headers": {"Prefer": "wait=0"}}
    for model in ("theirs", "brand_new"):
        put = await key.call("PUT", f"/models/{model}/versions", content=b"a model")
        posted = await key.call("POST", "/models/upload", data={"name": model}, **form)
        assert [(status, body["code"]) for status, body in (put, posted)] == [(403, "model_not_granted")] * 2

    status, added = await key.call("POST", "/models/upload", data={"name": "mine"}, **form)

    assert (status, added["version"]["number"]) == (201, 2)
    assert [each["name"] for each in (await key.call("GET", "/models"))[1]["items"]] == ["mine"]


async def test_names_of_jobs_are_the_tenants_and_show_nothing_of_them(
    key: Key, things: dict[str, Any], database: Database
) -> None:
    again = {"model": "theirs", "input": ROWS}

    by_key = await key.call("POST", "/jobs", json=again, headers={"Idempotency-Key": "nightly"})
    by_id = await key.call("PUT", f"/jobs/{things['job']}", json=again)
    async with database.transaction() as session:
        await session.execute(update(JobRow).values(model_id=None))  # as when the model is deleted
    of_no_model = await key.call("GET", f"/jobs/{things['job']}")

    assert (by_key[0], by_key[1]["code"]) == (422, "idempotency_key_reused")
    assert (by_id[0], by_id[1]["code"]) == (409, "job_id_taken")
    assert of_no_model[0] == 404


async def test_a_model_that_others_ask_or_that_cannot_serve_is_not_there_either(
    app: Litestar, account: Account, key: Key, things: dict[str, Any], database: Database
) -> None:
    routes: Routes = app.state.predictor.routes
    anybody = Caller(user_id=account.user_id, tenant_id=account.tenant_id)
    confined = msgspec.structs.replace(anybody, models=frozenset({UUID(things["mine"])}))
    await routes.find(anybody, "theirs", None)
    assert routes.known(anybody, "theirs") is not None
    assert routes.known(confined, "theirs") is None

    async with database.transaction() as session:
        await session.execute(update(ModelRow).values(current_version_id=None))
    theirs, mine = [
        await key.call("POST", f"/predict/{model}", json={"inputs": [[5.1, 3.5]]})
        for model in ("theirs", "mine")
    ]

    assert (theirs[1]["code"], mine[1]["code"]) == ("model_not_found", "version_not_servable")
