"""The end of an organisation: who may, what stops at once, and that all it had goes and nothing else."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, update

from api.credentials import Credentials, SessionEnded
from shared.access.homes import add_member
from shared.access.messages import follow_access
from shared.access.permissions import Role
from shared.access.tables import Tenant, User
from shared.access.team_tables import MemberRow
from shared.access.tokens import AccessTokens
from shared.audit.tables import AuditRow
from shared.catalog.tables import ModelRow, VersionRow
from shared.catalog.upload import artifact_key
from shared.database.base import Base
from shared.database.engine import Database
from shared.ids import new_id
from shared.jobs.job import JobStatus
from shared.jobs.news import JobNews
from shared.jobs.tables import JobRow
from shared.mail.tables import MailRow
from shared.uploads.expiry import remove_old_uploads
from shared.uploads.tables import UploadRow
from shared.webhooks.service import claim_attempt, record_event
from tests.fixtures.jobs import store
from tests.fixtures.servers import ROOT
from workers.dissolution import Dissolution
from workers.jobs.sweep import sweep

API = "/api/v1"
HERE = f"{API}/organization"
OWNER, ADMIN, MEMBER, VIEWER = Role
NAME = {"confirm": "Ada Tester"}  # what accounts' first organisations are called here
LONG_AGO = timedelta(hours=2)

# Removes what organisations had, again and again until it is killed.
REMOVING = """
import asyncio, os
from shared.database.engine import Database
from shared.jobs.news import JobNews
from shared.messaging.broker import Messenger, connect_broker
from shared.messaging.redis import connect_redis
from shared.settings import Settings
from shared.storage.store import Storage
from workers.dissolution import Dissolution

async def remove():
    settings = Settings.from_env(os.environ)
    redis, messenger = connect_redis(settings.redis_url), Messenger(connect_broker(settings))
    database, storage = Database(settings.database_url), Storage(settings.storage_url)
    dissolution = Dissolution(database, redis, messenger=messenger, storage=storage, news=JobNews(redis))
    while True:
        await dissolution.round()
        await asyncio.sleep(5)  # as the scheduler pauses, only longer

asyncio.run(remove())
"""

Remove = Callable[[], Awaitable[None]]


@pytest.fixture
def dissolution(database, redis, *, messenger, storage) -> Dissolution:
    return Dissolution(database, redis, messenger=messenger, storage=storage, news=JobNews(redis))


@pytest.fixture
async def guarded(database_url):
    """As the API has it: whoever asks says whose rows they want."""
    database = Database(database_url, connections=1, acting_for=lambda: None)
    yield database
    await database.close()


def code_of(answer):
    return (answer.status_code, answer.json()["code"]) if answer.status_code >= 400 else answer.status_code


def files_under(settings) -> list[Path]:
    return [p for p in Path(settings.storage_url.removeprefix("file://")).rglob("*") if p.is_file()]


async def rows_of(guarded, tenant_id) -> dict[str, list[str]]:
    """All that a tenant has, by table; no table that it has nothing in."""
    async with guarded.for_tenant(tenant_id).transaction() as session:
        found = {
            table.name: sorted(map(repr, await session.execute(select(table))))
            for table in Base.metadata.sorted_tables
        }
    return {name: rows for name, rows in found.items() if rows}


async def let_hours_pass(database) -> None:
    """For whoever ended; until then requests of before may still write."""
    async with database.transaction() as session:
        await session.execute(
            update(Tenant)
            .where(Tenant.deleted_at.is_not(None))
            .values(deleted_at=Tenant.deleted_at - LONG_AGO)
        )
        await session.execute(update(UploadRow).values(ended_at=UploadRow.ended_at - LONG_AGO))


async def home_of(database, account) -> tuple[UUID, str]:
    async with database.transaction() as session:
        home = (await session.get_one(User, account.user_id)).tenant_id
        return home, (await session.get_one(MemberRow, (home, account.user_id))).role


async def test_only_an_owner_who_says_its_name_deletes_an_organisation(client, account, join):
    admin = await join(account, ADMIN)

    answers = [
        await client.delete(HERE, params=NAME, headers=admin.headers),
        await client.delete(HERE, headers=account.headers),
        await client.delete(HERE, params={"confirm": "ada tester"}, headers=account.headers),
        await client.delete(HERE, params={"confirm": "x" * 201}, headers=account.headers),
    ]

    assert [code_of(each) for each in answers] == [
        (403, "role_too_low"),
        (422, "not_confirmed"),
        (422, "not_confirmed"),
        (422, "invalid_input"),
    ]
    assert "'Ada Tester'" in answers[1].json()["detail"]
    assert (await client.get(HERE, headers=account.headers)).status_code == 200


async def test_keys_and_sessions_end_at_once_and_everybody_is_at_home_elsewhere(
    client, account, stranger, join, database
):
    mate = await join(account, OWNER)
    own, _ = await home_of(database, mate)
    async with database.transaction() as session:
        await session.execute(update(User).where(User.id == mate.user_id).values(tenant_id=account.tenant_id))
    key = (await client.post(f"{API}/api-keys", json={"name": "k"}, headers=account.headers)).json()
    by_key = {"X-API-Key": key["secret"]}
    credentials = (account.headers, mate.headers, by_key)
    assert [(await client.get(f"{API}/models", headers=each)).status_code for each in credentials] == [
        200
    ] * 3

    deleted = await client.delete(HERE, params=NAME, headers=account.headers)
    predicted = [await client.post(f"{API}/predict/none", json={}, headers=each) for each in credentials]

    assert deleted.status_code == 204
    assert [code_of(each) for each in predicted] == [
        (401, "session_ended"),
        (401, "session_ended"),
        (401, "invalid_api_key"),
    ]
    assert await home_of(database, mate) == (own, "owner")
    made, role = await home_of(database, account)
    assert (made not in {account.tenant_id, own}, role) == (True, "owner")
    assert (await client.get(HERE, headers=stranger.headers)).status_code == 200


async def test_every_process_hears_of_the_end(client, account, settings, database, redis):
    elsewhere = Credentials(settings, database, AccessTokens(settings.secret_key, ttl_s=60))
    news, token = follow_access(redis, elsewhere), account.token.encode()
    news.start()
    await elsewhere.verify(token)

    await client.delete(HERE, params=NAME, headers=account.headers)

    async with asyncio.timeout(30):
        while elsewhere.known(token) is not None:
            await asyncio.sleep(0.01)
    with pytest.raises(SessionEnded):
        await elsewhere.verify(token)
    await news.close()


async def test_owners_are_told_by_mail_and_the_log_remembers(client, account, join, database):
    other = await join(account, OWNER)
    await join(account, MEMBER)

    await client.delete(HERE, params=NAME, headers=account.headers)

    async with database.transaction() as session:
        mails = (await session.scalars(select(MailRow).order_by(MailRow.to))).all()
        act = (await session.scalars(select(AuditRow).where(AuditRow.action == "organization.delete"))).one()
    assert [mail.to for mail in mails] == sorted([account.email, other.email])
    assert {mail.subject for mail in mails} == {"Ada Tester was deleted"}
    assert (act.tenant_id, act.actor_name, act.target_name, act.before) == (
        account.tenant_id,
        account.email,
        "Ada Tester",
        {"members": 3, "models": 0},
    )


async def test_of_two_owners_who_delete_at_once_one_does(client, account, join):
    other = await join(account, OWNER)

    answers = await asyncio.gather(
        *(client.delete(HERE, params=NAME, headers=who.headers) for who in (account, other))
    )

    done, refused = sorted(each.status_code for each in answers)
    assert done == 204
    assert refused in {401, 403}


async def test_all_it_had_is_removed_but_the_audit_log_and_nothing_of_others(
    client, stranger, belongings, guarded, *, settings, database, dissolution, job_context, storage
):
    answer = await client.post(
        f"{API}/models/upload",
        data={"name": "bobs"},
        files={"file": ("m.pkl", b"bytes")},
        headers=stranger.headers | {"Prefer": "wait=0"},
    )
    assert answer.status_code == 201
    tenant_id = UUID(belongings.organizations[0])
    bobs, mine = await rows_of(guarded, stranger.tenant_id), await rows_of(guarded, tenant_id)
    name = (await client.get(HERE, headers=belongings.headers)).json()["name"]

    deleted = await client.delete(HERE, params={"confirm": name}, headers=belongings.headers)
    async with database.transaction() as session:
        delivery = UUID(belongings.names["delivery"][0])
        assert await claim_attempt(session, delivery, settings) is None
    await dissolution.round()
    async with database.transaction() as session:
        states = set(await session.execute(select(JobRow.status, JobRow.deleted_at.is_(None))))
    await dissolution.round()
    for job_id in await ids_of(database, JobRow.id):
        await sweep(job_context, job_id)
    await dissolution.round()
    before_the_end = set(await rows_of(guarded, tenant_id))
    await let_hours_pass(database)
    await remove_old_uploads(database, storage)
    await dissolution.round()

    assert {"models", "model_versions", "jobs", "uploads", "deliveries", "schedules"} < set(mine)
    assert deleted.status_code == 204
    assert states == {(JobStatus.SUCCEEDED, False), (JobStatus.CANCELLED, True)}
    kept = {"tenants", "uploads", "upload_pieces", "webhook_endpoints", "audit_log", "tenant_days"}
    assert before_the_end <= kept
    left = await rows_of(guarded, tenant_id)
    assert list(left) == ["audit_log"]
    assert len(left["audit_log"]) == len(mine["audit_log"]) + 2  # that it was deleted, and removed
    assert await rows_of(guarded, stranger.tenant_id) == bobs
    version = answer.json()["version"]["id"]
    assert [path.name for path in files_under(settings)] == [version]


async def ids_of(database, column) -> list[UUID]:
    async with database.transaction() as session:
        return list(await session.scalars(select(column)))


async def test_what_a_request_of_before_adds_late_is_removed_as_well(
    client, account, database, dissolution, redis
):
    await client.delete(HERE, params=NAME, headers=account.headers)
    await dissolution.round()
    async with database.transaction() as session:
        await session.execute(insert(ModelRow).values(tenant_id=account.tenant_id, name="late"))
        await record_event(
            session,
            tenant_id=account.tenant_id,
            job_id=None,
            url="http://127.0.0.1:1/",
            event_type="job.succeeded",
            data={},
        )
    (model_id,) = await ids_of(database, ModelRow.id)
    await let_hours_pass(database)

    async with redis.pubsub() as heard:
        await heard.subscribe("catalog")
        await heard.get_message(timeout=5)
        await dissolution.round()
        told = await heard.get_message(timeout=5)

    assert told["data"] == f"model:{model_id}".encode()
    assert account.tenant_id not in await ids_of(database, Tenant.id)


async def test_nobody_goes_with_an_organisation_that_is_still_their_home(
    client, account, stranger, database, dissolution
):
    await client.delete(HERE, params=NAME, headers=account.headers)
    async with database.transaction() as session:  # as a race might leave it
        await session.execute(
            update(User).where(User.id == stranger.user_id).values(tenant_id=account.tenant_id)
        )
    await let_hours_pass(database)

    await dissolution.round()

    assert await home_of(database, stranger) == (stranger.tenant_id, "owner")


async def test_a_removal_that_was_killed_is_finished_by_two_at_once(
    account, stranger, *, client, database, storage, settings, dissolution
):
    versions = await add_versions(database, storage, account.tenant_id, count=60)
    await add_versions(database, storage, stranger.tenant_id, count=3)
    await client.delete(HERE, params=NAME, headers=account.headers)

    left = await remove_until_killed(database, settings, versions)
    await let_hours_pass(database)
    while account.tenant_id in await ids_of(database, Tenant.id):
        await asyncio.gather(dissolution.round(), dissolution.round())

    assert 0 < left < 60
    kept = await ids_of(database, VersionRow.id)
    assert len(kept) == 3
    assert {path.name for path in files_under(settings)} == set(map(str, kept))


async def add_versions(database, storage, tenant_id, *, count) -> int:
    """A model with so many; how many there are of all tenants."""
    async with database.transaction() as session:
        model = ModelRow(tenant_id=tenant_id, name="many")
        session.add(model)
        await session.flush()
        for number in range(count):
            version_id = new_id()
            key = artifact_key(version_id)
            await store(storage, key, b"bytes")
            session.add(
                VersionRow(
                    id=version_id,
                    model_id=model.id,
                    number=number,
                    status="ready",
                    file_name="m.pkl",
                    artifact_key=key,
                    artifact_digest="0" * 64,
                    artifact_size_bytes=5,
                )
            )
    return count


async def remove_until_killed(database, settings, count) -> int:
    """Let a process begin, and kill it; how many of so many versions it has left."""
    names = ("database_url", "redis_url", "storage_url", "secret_key")
    env = os.environ | {name.upper(): getattr(settings, name) for name in names}
    total = await count_versions(database)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", REMOVING, cwd=ROOT, env=env)
    try:
        async with asyncio.timeout(60):
            while await count_versions(database) == total:
                await asyncio.sleep(0.005)
    finally:
        process.kill()
        assert await process.wait() == -signal.SIGKILL
    return await count_versions(database) - (total - count)


async def count_versions(database) -> int:
    async with database.transaction() as session:
        return await session.scalar(select(func.count()).select_from(VersionRow))


async def test_a_member_of_two_goes_on_in_the_other(client, account, stranger, acting, database):
    async with database.transaction() as session:
        await add_member(session, tenant_id=stranger.tenant_id, user_id=account.user_id, role=VIEWER)
    there = await acting(account, stranger)

    await client.delete(HERE, params=NAME, headers=account.headers)

    assert (await client.get(HERE, headers=there.headers)).json()["role"] == "viewer"
    assert (await home_of(database, account))[0] == stranger.tenant_id
