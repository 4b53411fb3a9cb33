"""What tenants may have and use: never more than their quotas say, and told when it would be."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from api.quotas import change_quotas
from shared.access.tables import Tenant
from shared.analytics.service import add_counts
from shared.analytics.tally import Tally
from shared.jobs.tables import JobRow
from shared.quotas.days import count_job_rows
from shared.quotas.errors import RowsQuotaExceeded
from shared.quotas.own import NoSuchTenant, QuotaUnreadable

LATER = {"Prefer": "wait=0"}


@pytest.fixture
def allow(database, account):
    """Gives the account's tenant quotas of its own."""

    async def give(**quotas: int) -> None:
        async with database.transaction() as session:
            await session.execute(update(Tenant).where(Tenant.id == account.tenant_id).values(quotas=quotas))

    return give


@pytest.fixture
def send(client, account):
    """Uploads a model of so many bytes."""

    async def upload(name: str = "iris", size: int = 7, sample: bytes = b""):
        files = {"file": ("m.pkl", b"x" * size)} | ({"sample": ("s.csv", sample)} if sample else {})
        return await client.post(
            "/api/v1/models/upload", files=files, data={"name": name}, headers=account.headers | LATER
        )

    return upload


@pytest.fixture
def quota(client, account):
    """One quota, as its tenant sees it."""

    async def see(name: str) -> dict:
        usage = (await client.get("/api/v1/usage", headers=account.headers)).json()
        return {each["name"]: each for each in usage["quotas"]}[name]

    return see


async def test_of_uploads_at_once_as_many_are_taken_as_the_tenant_may_have(allow, send, quota):
    await allow(versions=2)

    answers = await asyncio.gather(*(send() for _ in range(6)))

    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409, 409]
    assert await quota("versions") == {"name": "versions", "used": 2, "limit": 2}


async def test_one_model_too_many_is_refused_with_what_there_is_and_how_to_make_room(allow, send, quota):
    await allow(models=1)
    assert (await send("iris")).status_code == 201

    answer = await send("wine")

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "quota_exceeded")
    for told in ("models is 1", "1 are used", "delete a model"):
        assert told in problem["detail"]
    assert problem["quota"] == await quota("models") == {"name": "models", "used": 1, "limit": 1}
    assert (await send("iris")).status_code == 201  # no new model


async def test_bytes_of_models_their_samples_and_uploads_count_together(client, account, allow, send, quota):
    await allow(storage_bytes=1000)
    await send(size=300, sample=b"a,b\n1,2\n")
    begun = {"file_name": "rows.csv", "size_bytes": 600}

    first = await client.post("/api/v1/uploads", json=begun, headers=account.headers)
    second = await client.post("/api/v1/uploads", json=begun, headers=account.headers)

    assert first.status_code == 201
    assert (second.status_code, second.json()["code"]) == (409, "quota_exceeded")
    assert (await quota("storage_bytes"))["used"] == 908
    assert (await send(size=93)).json()["code"] == "quota_exceeded"
    assert (await send(size=92)).status_code == 201


async def test_an_upload_of_unknown_size_stops_where_the_room_ends(client, account, allow):
    await allow(storage_bytes=10)
    upload = (await client.post("/api/v1/uploads", headers=account.headers)).json()["id"]
    sending = {"Upload-Offset": "0", "Content-Type": "application/octet-stream"}

    answer = await client.patch(
        f"/api/v1/uploads/{upload}", content=b"x" * 11, headers=account.headers | sending
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "quota_exceeded")
    assert (await client.get(f"/api/v1/uploads/{upload}", headers=account.headers)).json()["offset"] == 0


async def test_a_body_without_room_is_refused_before_it_is_read(client, account, allow):
    await allow(storage_bytes=1000)

    async def never_read():
        raise AssertionError("the body was asked for")
        yield b""

    answer = await client.put(
        "/api/v1/models/iris/versions",
        content=never_read(),
        headers=account.headers | {"Content-Length": "100000"},
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "quota_exceeded")


async def test_what_is_deleted_makes_room(client, account, allow, send):
    await allow(storage_bytes=100)
    assert (await send(size=100)).status_code == 201
    assert (await send(size=1)).status_code == 409

    await client.delete("/api/v1/models/iris/versions/1", headers=account.headers)

    assert (await send(size=100)).status_code == 201


async def test_the_input_of_a_job_needs_room(client, account, allow, served, quota):
    await served()
    held = (await quota("storage_bytes"))["used"]
    await allow(storage_bytes=held + 40)
    asked = {"model": "iris", "input": {"rows": [[5.1, 3.5]]}}

    taken = await client.post("/api/v1/jobs", json=asked, headers=account.headers)
    refused = await client.post("/api/v1/jobs", json=asked, headers=account.headers)

    assert (taken.status_code, refused.status_code) == (202, 409)
    assert refused.json()["code"] == "quota_exceeded"


async def test_results_and_errors_of_jobs_count_until_their_files_go(
    client, account, served, quota, database
):
    await served()
    asked = {"model": "iris", "input": {"rows": [[5.1, 3.5]]}}
    job = (await client.post("/api/v1/jobs", json=asked, headers=account.headers)).json()["id"]
    before = (await quota("storage_bytes"))["used"]

    async def set_job(**values) -> int:
        async with database.transaction() as session:
            await session.execute(update(JobRow).where(JobRow.id == UUID(job)).values(**values))
        return (await quota("storage_bytes"))["used"] - before

    errors = {kind: {"key": "k", "size_bytes": 10, "digest": "d"} for kind in ("csv", "jsonl", "parquet")}
    assert await set_job(result_size_bytes=500, errors_files=errors) == 530
    assert await set_job(files_removed_at=datetime.now(UTC)) < 0


async def test_api_keys_uploads_and_schedules_heed_a_tenants_own_quotas(client, account, allow, served):
    await served()
    await allow(api_keys=1, uploads=1, schedules=1)
    plan = {"cron": "0 3 * * *", "job": {"model": "iris", "input": {"rows": [[1, 2]]}}}

    async def twice(path, *bodies):
        return [(await client.post(path, json=body, headers=account.headers)).status_code for body in bodies]

    assert await twice("/api/v1/api-keys", {"name": "a"}, {"name": "b"}) == [201, 409]
    assert await twice("/api/v1/uploads", {}, {}) == [201, 409]
    assert await twice("/api/v1/schedules", plan | {"name": "a"}, plan | {"name": "b"}) == [201, 409]


async def test_rows_counted_at_once_never_exceed_the_day(database, account, allow, settings, quota):
    await allow(job_rows_per_day=100)

    async def count() -> None:
        async with database.transaction() as session:
            await count_job_rows(session, account.tenant_id, 30, settings=settings)

    results = await asyncio.gather(*(count() for _ in range(6)), return_exceptions=True)

    refused = [error for error in results if isinstance(error, RowsQuotaExceeded)]
    assert len(refused) == 3
    assert "90 are used today" in str(refused[0])
    told = await quota("job_rows_per_day")
    assert (told["used"], told["limit"]) == (90, 100)
    assert told["resets_at"].endswith("T00:00:00Z")


async def test_a_days_use_outlives_the_models_that_were_used(database, account, served, client):
    made = await served()
    tally = Tally(UUID(made["id"]), UUID(made["version"]["id"]))
    tally.outcomes["ok"], tally.rows = 3, 12
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    async with database.transaction() as session:
        await add_counts(session, {(tally.version_id, now): tally})
    await client.delete("/api/v1/models/iris", headers=account.headers)

    usage = (await client.get("/api/v1/usage", headers=account.headers)).json()

    assert len(usage["days"]) == 30
    days = {day["day"]: day for day in usage["days"]}
    assert days[str(now.date())]["requests"] == 3
    assert days[str(now.date())]["prediction_rows"] == 12


async def test_without_quotas_everything_is_told_and_nothing_refused(client, account, send, settings):
    await send()

    usage = (await client.get("/api/v1/usage", headers=account.headers)).json()

    limits = {each["name"]: each["limit"] for each in usage["quotas"]}
    assert limits["storage_bytes"] is None
    assert limits["api_keys"] == settings.max_api_keys
    assert len(limits) == 9


async def test_an_operator_gives_a_tenant_quotas_and_takes_them_back(settings, account, client):
    await change_quotas(settings, account.email, ["models=3", "uploads=0"])
    usage = await change_quotas(settings, str(account.tenant_id), ["models=default"])

    limits = {each.name: each.limit for each in usage.quotas}
    assert (limits["models"], limits["uploads"]) == (None, None)
    acts = (await client.get("/api/v1/audit-log?action=quota.change", headers=account.headers)).json()
    assert acts["items"][0]["before"] == {"models": 3}


@pytest.mark.parametrize(
    ("change", "error"), [("model=3", "no quota"), ("models=many", "whole number"), ("models=-1", "whole")]
)
async def test_an_operators_mistake_changes_nothing(settings, account, change, error):
    with pytest.raises(QuotaUnreadable, match=error):
        await change_quotas(settings, account.email, ["uploads=1", change])


async def test_quotas_of_nobody_are_not_set(settings):
    with pytest.raises(NoSuchTenant):
        await change_quotas(settings, f"{uuid4()}@example.com", ["models=1"])
