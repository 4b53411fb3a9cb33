"""The audit log: written with the change, never changed, read by its tenant alone."""

from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.access.acting import Acting, acting_as
from shared.access.caller import Caller
from shared.audit.actor import Actor, Target
from shared.audit.log import MOST_FAILURES, record_audit, record_failure
from shared.audit.retention import forget_old_acts


@pytest.fixture
def note(database, account):
    """Writes an act of the account down, by itself."""

    async def write(action: str = "model.promote", **what) -> None:
        target = Target(type="model", id=uuid4(), name="iris")
        caller = Caller(user_id=account.user_id, tenant_id=account.tenant_id)
        with acting_as(Acting(caller, "192.0.2.7")):
            async with database.transaction() as session:
                await record_audit(session, **{"action": action, "target": target} | what)

    return write


@pytest.fixture
def acts(client, account):
    async def read(headers=account.headers, **filters) -> list[dict]:
        answer = await client.get("/api/v1/audit-log", params=filters, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    return read


async def test_an_act_tells_who_did_what_to_what_and_from_where(note, acts, account):
    target = Target(type="model", id=uuid4(), name="iris")

    await note(target=target, before={"version": 1}, after={"version": 2})

    (act,) = await acts()
    assert act["action"] == "model.promote"
    assert act["actor"] == {"type": "user", "id": str(account.user_id), "name": account.email}
    assert act["target"] == {"type": "model", "id": str(target.id), "name": "iris"}
    assert (act["before"], act["after"], act["address"]) == ({"version": 1}, {"version": 2}, "192.0.2.7")


async def test_a_change_that_is_undone_leaves_no_act(database, acts, account):
    async def change_and_fail() -> None:
        async with database.transaction() as session:
            target = Target(type="job", id=uuid4())
            await record_audit(session, action="job.cancel", target=target, tenant_id=account.tenant_id)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await change_and_fail()

    assert await acts() == []


async def test_the_platform_itself_is_an_actor_too(database, acts, account):
    async with database.transaction() as session:
        await record_audit(
            session, action="job.create", target=Target(type="job", id=uuid4()), tenant_id=account.tenant_id
        )

    (act,) = await acts()
    assert act["actor"] == {"type": "system", "id": None, "name": None}
    assert act["address"] is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET action = 'x'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        # Not even what removes old acts can change one.
        "UPDATE audit_log SET action = set_config('modelyard.audit_retention', 'on', true)",
    ],
)
async def test_the_database_refuses_to_change_what_is_written(database, note, acts, statement):
    await note()

    with pytest.raises(DBAPIError, match="only added to"):
        async with database.transaction() as session:
            await session.execute(text(statement))

    assert len(await acts()) == 1


async def test_acts_go_when_they_have_been_kept_for_long_enough(database, note, acts, account):
    await note("model.promote")
    async with database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO audit_log (id, tenant_id, at, action, actor_type, target_type)"
                " VALUES (:id, :tenant, now() - interval '31 days', 'model.delete', 'system', 'model')"
            ),
            {"id": uuid4(), "tenant": account.tenant_id},
        )

    async with database.transaction() as session:
        removed = await forget_old_acts(session, days=30)

    assert removed == 1
    assert [act["action"] for act in await acts()] == ["model.promote"]


async def test_acts_are_found_by_what_when_and_whom_they_concern(note, acts, account):
    target = Target(type="model", id=uuid4(), name="iris")
    await note("model.promote", target=target)
    await note("api_key.create")

    assert [a["action"] for a in await acts(action="model.promote")] == ["model.promote"]
    assert [a["action"] for a in await acts(action="api_key.")] == ["api_key.create"]
    assert [a["action"] for a in await acts(target=str(target.id))] == ["model.promote"]
    assert len(await acts(actor=str(account.user_id))) == 2
    assert await acts(actor=str(uuid4())) == []
    assert await acts(until="2020-01-01T00:00:00Z") == []
    assert len(await acts(since="2020-01-01T00:00:00")) == 2


async def test_the_log_comes_in_pages_the_newest_first(client, note, account):
    for action in ("model.create", "model.promote", "model.delete"):
        await note(action)

    first = (await client.get("/api/v1/audit-log?limit=2", headers=account.headers)).json()
    second = await client.get(
        "/api/v1/audit-log", params={"cursor": first["next_cursor"]}, headers=account.headers
    )

    assert [act["action"] for act in first["items"]] == ["model.delete", "model.promote"]
    assert [act["action"] for act in second.json()["items"]] == ["model.create"]


async def test_another_tenants_acts_are_nobodys_business(note, acts, stranger):
    await note()

    assert await acts(headers=stranger.headers) == []


async def test_failures_without_end_are_not_written_down_without_end(database, acts, account):
    target, actor = Target(type="user", id=account.user_id), Actor.user(account.user_id, account.email)

    for _ in range(MOST_FAILURES + 5):
        async with database.transaction() as session:
            await record_failure(
                session,
                action="auth.login_failed",
                target=target,
                tenant_id=account.tenant_id,
                actor=actor,
            )

    written = await acts(limit=100)
    assert len(written) == MOST_FAILURES
    assert len([act for act in written if act["after"]]) == 1  # the last, which says that it is
