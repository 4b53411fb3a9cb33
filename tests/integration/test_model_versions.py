"""Looking up, promoting, rolling back and deleting, over HTTP on real tables."""

import asyncio
import hashlib
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update

from shared.catalog.errors import VersionNotServable
from shared.catalog.messages import CATALOG_CHANNEL
from shared.catalog.service import claim_validation, lost_validations, record_verdict, serving_version
from shared.catalog.tables import VersionRow
from shared.clock import utc_now
from shared.ids import new_id
from shared.jobs.job import JobStatus
from shared.jobs.tables import JobRow
from tests.fixtures.api import READY, REJECTED

MODEL = "/api/v1/models/iris"


@pytest.fixture
def call(client, account):
    """Sends a request as the account; gives status and body."""

    async def send(method, path, **options):
        answer = await client.request(method, path, headers=account.headers, **options)
        return answer.status_code, answer.json() if answer.content else None

    return send


@pytest.fixture
def serving(call):
    """The number of the version that serves."""

    async def look():
        return (await call("GET", MODEL))[1]["current_version"]

    return look


@pytest.fixture
def add_job(database, account):
    """A job that needs a version."""

    async def add(uploaded, *, ended=False):
        job = JobRow(
            tenant_id=account.tenant_id,
            model_id=UUID(uploaded["id"]),
            version_id=UUID(uploaded["version"]["id"]),
            model_name="iris",
            version_number=1,
            input_file_name="rows.csv",
            input_key="jobs/x/input",
            input_format="csv",
            input_size_bytes=1,
            input_digest="0" * 64,
            output_format="csv",
            status=JobStatus.SUCCEEDED if ended else JobStatus.RUNNING,
            ended_at=utc_now() if ended else None,
        )
        async with database.transaction() as session:
            session.add(job)

    return add


async def test_the_newest_ready_version_serves(served, serving):
    await served()
    await served()

    assert await serving() == 2


async def test_a_version_that_becomes_ready_late_does_not_displace_a_newer_one(upload, judge, serving):
    first, second = await upload(), await upload()

    await judge(second["version"]["id"])
    await judge(first["version"]["id"])

    assert await serving() == 2


async def test_the_first_verdict_stands(upload, judge, call):
    uploaded = await upload()

    assert await judge(uploaded["version"]["id"], READY) is True
    assert await judge(uploaded["version"]["id"], REJECTED) is False
    assert (await call("GET", MODEL))[1]["status"] == "ready"


async def test_a_verdict_on_a_deleted_version_is_no_news(upload, judge, call):
    uploaded = await upload()
    await call("DELETE", f"{MODEL}/versions/1")

    assert await judge(uploaded["version"]["id"]) is False


async def test_verdicts_at_once_leave_the_newest_serving(upload, judge, serving):
    uploads = [await upload() for _ in range(6)]

    await asyncio.gather(*(judge(uploaded["version"]["id"]) for uploaded in uploads))

    assert await serving() == 6


async def test_promoting_an_older_version_makes_it_serve(served, call, serving):
    await served()
    await served()

    status, body = await call("POST", f"{MODEL}/versions/1/promote")

    assert (status, body["current_version"]) == (200, 1)
    assert await serving() == 1


async def test_a_version_that_is_not_ready_cannot_be_promoted(served, upload, call, serving):
    await served()
    await upload()

    status, body = await call("POST", f"{MODEL}/versions/2/promote")

    assert (status, body["code"]) == (409, "version_not_servable")
    assert await serving() == 1


async def test_rolling_back_undoes_promotions_one_by_one(served, call, serving):
    for _ in range(3):
        await served()
    await call("POST", f"{MODEL}/versions/1/promote")

    numbers = [(await call("POST", f"{MODEL}/rollback"))[1]["current_version"] for _ in range(2)]

    assert numbers == [3, 2]
    assert await serving() == 2


async def test_there_must_be_something_to_roll_back_to(served, call, serving):
    await served()

    status, body = await call("POST", f"{MODEL}/rollback")

    assert (status, body["code"]) == (409, "nothing_to_roll_back")
    assert await serving() == 1


async def test_promoting_what_serves_adds_nothing_to_roll_back(served, call):
    await served()
    await call("POST", f"{MODEL}/versions/1/promote")

    assert (await call("POST", f"{MODEL}/rollback"))[0] == 409


async def test_a_new_version_serves_after_a_rollback(served, call, serving):
    for _ in range(2):
        await served()
    await call("POST", f"{MODEL}/rollback")
    await served()

    assert await serving() == 3


async def test_deleting_what_serves_falls_back_to_the_one_before(served, call, serving):
    for _ in range(2):
        await served()

    status, _ = await call("DELETE", f"{MODEL}/versions/2")

    assert (status, await serving()) == (204, 1)


async def test_deleting_the_only_version_leaves_a_model_that_serves_nothing(served, call):
    await served()
    await call("DELETE", f"{MODEL}/versions/1")

    _, model = await call("GET", MODEL)

    assert (model["status"], model["current_version"], model["signature"]) == (None, None, None)


async def test_deleting_a_model_deletes_its_objects(served, call, storage):
    uploaded = await served()

    assert (await call("DELETE", MODEL))[0] == 204
    assert (await call("GET", MODEL))[0] == 404
    with pytest.raises(Exception, match="no object"):
        await storage.size(f"artifacts/{uploaded['version']['id']}")


async def test_the_name_of_a_deleted_model_is_free_again(served, upload, call):
    first = await served()
    await call("DELETE", MODEL)

    again = await upload()

    assert again["id"] != first["id"]
    assert again["version"]["number"] == 1


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/1"])
async def test_what_unfinished_jobs_need_is_not_deleted(served, call, add_job, path):
    await add_job(await served())

    status, body = await call("DELETE", path)

    assert (status, body["code"]) == (409, "model_in_use")
    assert (await call("GET", path))[0] == 200


async def test_ended_jobs_keep_nothing_from_being_deleted(served, call, add_job):
    await add_job(await served(), ended=True)

    assert (await call("DELETE", MODEL))[0] == 204


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/versions/1/promote"),
        ("POST", "/rollback"),
        ("DELETE", "/versions/1"),
        ("DELETE", ""),
    ],
)
async def test_other_processes_are_told_that_a_model_changed(served, client, account, redis, method, path):
    for _ in range(2):
        model_id = (await served())["id"]
    async with redis.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(CATALOG_CHANNEL)
        await channel.get_message(timeout=1)

        await client.request(method, MODEL + path, headers=account.headers)

        message = await channel.get_message(timeout=2)
    assert message["data"] == f"model:{model_id}".encode()


async def test_an_artifact_comes_back_as_it_went(client, account, upload):
    content = bytes(range(256)) * 40_000
    await upload(content=content)

    answer = await client.get(f"{MODEL}/versions/1/artifact", headers=account.headers)

    assert answer.content == content
    assert answer.headers["Content-Length"] == str(len(content))
    assert (await client.head(answer.url, headers=account.headers)).headers["Repr-Digest"] == answer.headers[
        "Repr-Digest"
    ]
    assert 'filename="model.pkl"' in answer.headers["Content-Disposition"]
    assert answer.headers["Repr-Digest"].startswith("sha-256=:")
    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(content).digest()


async def test_models_are_listed_in_pages_newest_first(upload, call):
    for name in ("a", "b", "c", "d", "e"):
        await upload(name)

    names, cursor = [], None
    for _ in range(3):
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        _, page = await call("GET", "/api/v1/models", params=params)
        names.append([model["name"] for model in page["items"]])
        cursor = page["next_cursor"]

    assert names == [["e", "d"], ["c", "b"], ["a"]]
    assert cursor is None


async def test_versions_are_listed_in_pages_newest_first(upload, call):
    for _ in range(3):
        await upload()

    _, first = await call("GET", f"{MODEL}/versions", params={"limit": 2})
    _, second = await call("GET", f"{MODEL}/versions", params={"cursor": first["next_cursor"]})

    assert [version["number"] for version in first["items"]] == [3, 2]
    assert [version["number"] for version in second["items"]] == [1]


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 101}, {"limit": "many"}])
async def test_a_limit_out_of_bounds_is_refused(call, params):
    status, body = await call("GET", "/api/v1/models", params=params)

    assert status == 422
    assert "limit" in body["detail"]


async def test_a_cursor_that_is_none_is_refused(call):
    status, body = await call("GET", "/api/v1/models", params={"cursor": "garbage"})

    assert (status, body["code"]) == (400, "invalid_cursor")


async def test_a_description_can_be_changed(upload, call):
    await upload()

    status, body = await call("PATCH", MODEL, json={"description": "für Blüten"})

    assert (status, body["description"]) == (200, "für Blüten")
    assert (await call("GET", MODEL))[1]["description"] == "für Blüten"


@pytest.mark.parametrize("body", [{}, {"description": 5}, {"name": "x"}, {"description": "a\x00"}, []])
async def test_changes_that_do_not_fit_are_refused(upload, call, body):
    await upload()

    assert (await call("PATCH", MODEL, json=body))[0] == 422


@pytest.mark.parametrize("number", ["0", "3", "2147483648", "99999999999999999999", "-1", "one"])
async def test_a_version_that_is_not_there_is_never_a_server_error(upload, call, number):
    await upload()

    assert (await call("GET", f"{MODEL}/versions/{number}"))[0] in {404, 422}


async def test_a_model_is_found_by_id_and_by_name(upload, call):
    model_id = (await upload())["id"]

    assert (await call("GET", f"/api/v1/models/{model_id}"))[1] == (await call("GET", MODEL))[1]


@pytest.mark.parametrize("model", ["unknown", str(new_id()), "%00", "a%2Fb", "é", "x" * 201])
async def test_a_model_that_is_not_there_is_never_a_server_error(call, model):
    assert (await call("GET", f"/api/v1/models/{model}"))[0] in {404, 422}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/versions"),
        ("GET", "/versions/1"),
        ("GET", "/versions/1/artifact"),
        ("POST", "/versions/1/promote"),
        ("DELETE", "/versions/1"),
        ("POST", "/rollback"),
        ("PUT", "/versions"),
    ],
)
async def test_another_tenants_model_is_not_there(client, served, stranger, serving, method, path):
    model_id = (await served())["id"]

    answer = await client.request(
        method, f"/api/v1/models/{model_id}{path}", json={"description": "mine"}, headers=stranger.headers
    )

    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")
    assert await serving() == 1


async def test_tenants_share_names_without_meeting(client, upload, stranger):
    mine = await upload()

    theirs = await client.put(
        f"{MODEL}/versions", content=b"theirs", headers={**stranger.headers, "Prefer": "wait=0"}
    )

    assert theirs.json()["id"] != mine["id"]
    assert theirs.json()["version"]["number"] == 1
    listed = await client.get("/api/v1/models", headers=stranger.headers)
    assert [model["id"] for model in listed.json()["items"]] == [theirs.json()["id"]]


async def test_what_serves_is_told_with_all_it_takes_to_ask_it(served, database, account):
    uploaded = await served()

    async with database.transaction() as session:
        version = await serving_version(session, account.tenant_id, "iris")

    assert str(version.version_id) == uploaded["version"]["id"]
    assert version.artifact_digest == uploaded["version"]["digest"]
    assert version.signature == READY.signature


async def test_a_rejected_version_cannot_be_asked_and_says_why(upload, judge, database, account):
    await judge((await upload())["version"]["id"], REJECTED)

    async with database.transaction() as session:
        with pytest.raises(VersionNotServable, match="the file is a text"):
            await serving_version(session, account.tenant_id, "iris", 1)


async def test_a_validation_is_claimed_by_one_worker_until_its_lease_is_over(upload, database):
    version_id = UUID((await upload())["version"]["id"])

    async def claim():
        async with database.transaction() as session:
            return await claim_validation(session, version_id, lease_s=30)

    claims = await asyncio.gather(claim(), claim(), claim())
    assert sorted(claimed is not None for claimed in claims) == [False, False, True]

    async with database.transaction() as session:
        await session.execute(update(VersionRow).values(lease_until=utc_now() - timedelta(seconds=1)))
    assert (await claim()).validation_attempts == 2


async def test_versions_that_nobody_validates_are_asked_for_again(upload, database):
    version_id = UUID((await upload())["version"]["id"])

    async def lost():
        async with database.transaction() as session:
            return await lost_validations(session)

    assert await lost() == []  # just made: a worker may be about to claim it
    async with database.transaction() as session:
        await session.execute(update(VersionRow).values(created_at=utc_now() - timedelta(seconds=6)))
    assert await lost() == [version_id]
    async with database.transaction() as session:
        await claim_validation(session, version_id, lease_s=30)
    assert await lost() == []
    async with database.transaction() as session:
        await session.execute(update(VersionRow).values(lease_until=utc_now() - timedelta(seconds=1)))
    assert await lost() == [version_id]
    async with database.transaction() as session:
        await record_verdict(session, version_id, READY)
    assert await lost() == []
