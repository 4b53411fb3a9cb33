"""API keys over HTTP and in PostgreSQL, and how soon a revoked one is dead."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from httpx import AsyncClient
from sqlalchemy import event, select, text, update

from api.credentials import Credentials
from shared.access.api_keys import ApiKeys, TooManyKeys
from shared.access.caller import Caller
from shared.access.homes import add_member
from shared.access.known_key import InvalidKey
from shared.access.messages import AccessNews
from shared.access.permissions import Role
from shared.access.tables import ApiKeyRow, User
from shared.access.tokens import AccessTokens
from shared.clock import utc_now
from shared.database.engine import Database
from tests.fixtures.platform import find_free_port
from tests.fixtures.processes import started
from tests.fixtures.servers import TEMPLATE, create_database

KEYS = "/api/v1/api-keys"
ME = "/api/v1/auth/me"


@pytest.fixture
def make_key(client, account):
    async def make(name="checkout"):
        answer = await client.post(KEYS, json={"name": name}, headers=account.headers)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return make


@pytest.fixture
def new_credentials(settings, database):
    """The memory of one more process, which no message reaches."""

    def make(given=database, **changes):
        changed = msgspec.structs.replace(settings, **changes)
        return Credentials(changed, given, AccessTokens(settings.secret_key, ttl_s=900))

    return make


@pytest.fixture
def statements(database):
    """What PostgreSQL is asked from here on."""
    asked = []

    def note(_connection, _cursor, statement, *_):
        asked.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    yield asked
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)


async def test_a_key_is_shown_once_with_its_secret(client, account, make_key):
    made = await make_key("checkout")

    terms = {"scopes", "models", "expires_at", "rate_limit", "previous_expires_at"}
    known_by = {"id", "name", "prefix", "last4", "created_at", "created_by", "last_used_at"}
    assert set(made) == terms | known_by | {"secret"}
    assert {made[term] for term in terms} == {None}
    assert made["created_by"] == str(account.user_id)
    assert made["secret"].startswith(made["prefix"] + "_")
    assert made["prefix"] == "my_" + UUID(made["id"]).hex
    assert made["secret"].endswith(made["last4"])
    listed = (await client.get(KEYS, headers=account.headers)).json()
    assert listed == {"items": [{k: v for k, v in made.items() if k != "secret"}], "next_cursor": None}


async def test_the_tables_keep_no_key(database, make_key):
    made = await make_key()

    async with database.transaction() as session:
        row = (await session.execute(text("SELECT * FROM api_keys"))).one()

    random_part = made["secret"].removeprefix(made["prefix"] + "_")  # which may have a "_" of its own
    assert not any(random_part in str(value) for value in row)


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
async def test_a_key_speaks_for_its_user_in_either_header(client, account, make_key, header):
    secret = (await make_key())["secret"]
    value = f"Bearer {secret}" if header == "Authorization" else secret

    answers = [await client.get(ME, headers={header: value}) for _ in range(2)]

    assert [answer.json()["id"] for answer in answers] == [str(account.user_id)] * 2


async def test_a_list_goes_on_where_the_page_before_ended(client, account, make_key):
    made = [(await make_key(str(number)))["id"] for number in range(3)]

    first = (await client.get(KEYS, params={"limit": 2}, headers=account.headers)).json()
    rest = (await client.get(KEYS, params={"cursor": first["next_cursor"]}, headers=account.headers)).json()

    assert [key["id"] for page in (first, rest) for key in page["items"]] == made[::-1]
    assert rest["next_cursor"] is None


async def test_a_revoked_key_is_dead_at_once_where_it_was_revoked(client, account, make_key):
    key = await make_key()
    headers = {"X-API-Key": key["secret"]}
    assert (await client.get(ME, headers=headers)).status_code == 200

    revoked = await client.delete(f"{KEYS}/{key['id']}", headers=account.headers)

    assert revoked.status_code == 204
    answer = await client.get(ME, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_api_key")
    assert (await client.get(KEYS, headers=account.headers)).json()["items"] == []
    assert (await client.delete(f"{KEYS}/{key['id']}", headers=account.headers)).status_code == 404


async def test_a_revoked_key_dies_in_other_processes_by_a_message(
    client, account, make_key, settings, tmp_path
):
    # Without the message it would work for another hour.
    chosen = msgspec.structs.replace(settings, port=find_free_port(), credential_ttl_s=3600)
    key = await make_key()
    with started("api", chosen, tmp_path / "api.log") as process:
        await process.wait_for_log("Application startup complete")
        async with AsyncClient(base_url=f"http://127.0.0.1:{chosen.port}", timeout=30) as other:
            headers = {"X-API-Key": key["secret"]}
            assert (await other.get(ME, headers=headers)).status_code == 200

            await client.delete(f"{KEYS}/{key['id']}", headers=account.headers)

            async with asyncio.timeout(30):
                while (answer := await other.get(ME, headers=headers)).status_code != 401:
                    await asyncio.sleep(0.01)
    assert answer.json()["code"] == "invalid_api_key"


async def test_a_revoked_key_dies_without_its_message_too(client, account, make_key, new_credentials):
    key = await make_key()
    other = new_credentials(credential_ttl_s=0.2)
    await other.verify(key["secret"].encode())

    await client.delete(f"{KEYS}/{key['id']}", headers=account.headers)
    await asyncio.sleep(0.25)  # until what was known is old

    assert other.known(key["secret"].encode()) is None
    with pytest.raises(InvalidKey):
        await other.verify(key["secret"].encode())


async def test_after_lost_messages_every_key_is_looked_up_again(make_key, new_credentials):
    key = (await make_key())["secret"].encode()
    credentials = new_credentials()
    caller = await credentials.verify(key)

    credentials.forget_all()

    assert credentials.known(key) is None
    assert await credentials.verify(key) == credentials.known(key) == caller


async def test_another_tenants_key_is_not_there(client, stranger, make_key):
    key = await make_key()

    answer = await client.delete(f"{KEYS}/{key['id']}", headers=stranger.headers)

    assert (answer.status_code, answer.json()["code"]) == (404, "api_key_not_found")
    assert (await client.get(ME, headers={"X-API-Key": key["secret"]})).status_code == 200
    assert (await client.get(KEYS, headers=stranger.headers)).json()["items"] == []


@pytest.mark.parametrize("key", ["none", str(uuid4())])
async def test_a_key_that_never_was_is_not_there(client, account, key):
    assert (await client.delete(f"{KEYS}/{key}", headers=account.headers)).status_code == 404


async def test_keys_cannot_be_managed_with_a_key(client, make_key):
    key = await make_key()
    headers = {"X-API-Key": key["secret"]}

    answers = [
        await client.post(KEYS, json={"name": "another"}, headers=headers),
        await client.get(KEYS, headers=headers),
        await client.delete(f"{KEYS}/{key['id']}", headers=headers),
    ]

    assert [(each.status_code, each.json()["code"]) for each in answers] == [(403, "session_needed")] * 3


@pytest.mark.parametrize("name", ["", "x" * 201, "a\x00b", None, 5])
async def test_a_name_that_does_not_fit_is_refused(client, account, name):
    answer = await client.post(KEYS, json={"name": name}, headers=account.headers)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/name")


async def test_a_tenant_has_so_many_keys_and_no_more_even_at_once(
    settings, database, redis, account, new_credentials
):
    few = msgspec.structs.replace(settings, max_api_keys=3)
    keys = ApiKeys(few, database, AccessNews(redis, new_credentials()))
    caller = Caller(user_id=account.user_id, tenant_id=account.tenant_id)

    made = await asyncio.gather(*(keys.create(caller, name="k") for _ in range(5)), return_exceptions=True)

    assert sum(isinstance(each, TooManyKeys) for each in made) == 2
    async with database.transaction() as session:
        assert len(list(await session.scalars(select(ApiKeyRow.id)))) == 3


async def test_a_key_goes_with_its_user(client, account, make_key, database):
    key = await make_key()

    async with database.transaction() as session:
        await session.delete(await session.get(User, account.user_id))

    assert (await client.get(ME, headers={"X-API-Key": key["secret"]})).status_code == 401


async def test_the_right_id_with_another_secret_is_refused(make_key, new_credentials):
    secret = (await make_key())["secret"]
    forged = secret[:-43] + ("A" * 43)

    with pytest.raises(InvalidKey):
        await new_credentials().verify(forged.encode())


async def test_a_wrong_key_is_looked_up_once(new_credentials, statements):
    wrong = f"my_{uuid4().hex}_{'A' * 43}".encode()
    credentials = new_credentials()

    for _ in range(20):
        with pytest.raises(InvalidKey):
            await credentials.verify(wrong)

    assert len([each for each in statements if "api_keys" in each]) == 1


async def test_requests_that_come_together_look_a_key_up_once(make_key, new_credentials, statements):
    secret = (await make_key())["secret"].encode()
    credentials = new_credentials()
    del statements[:]

    callers = await asyncio.gather(*(credentials.verify(secret) for _ in range(50)))

    assert len(set(callers)) == 1
    assert len([each for each in statements if each.startswith("SELECT api_keys")]) == 1


async def test_who_comes_after_a_change_does_not_share_a_look_from_before_it(
    make_key, new_credentials, statements, database
):
    key = await make_key()
    secret, credentials = key["secret"].encode(), new_credentials()

    def looks():
        return len([each for each in statements if each.startswith("SELECT api_keys")])

    async with asyncio.timeout(30), database.transaction() as session:
        await session.execute(select(ApiKeyRow.id).with_for_update())  # nobody can note its use
        del statements[:]
        before = asyncio.create_task(credentials.verify(secret))
        while looks() < 1:
            await asyncio.sleep(0.01)
        credentials.forget_key(UUID(key["id"]))
        after = asyncio.create_task(credentials.verify(secret))
        while looks() < 2:
            await asyncio.sleep(0.01)

    assert await before == await after == credentials.known(secret)


async def test_its_last_use_is_noted_once_a_minute(client, account, make_key, new_credentials, database):
    secret = (await make_key())["secret"].encode()
    long_ago = utc_now() - timedelta(hours=1)

    async def last_used():
        return (await client.get(KEYS, headers=account.headers)).json()["items"][0]["last_used_at"]

    await new_credentials().verify(secret)
    first = await last_used()
    await new_credentials().verify(secret)
    second = await last_used()
    async with database.transaction() as session:
        await session.execute(update(ApiKeyRow).values(last_used_at=long_ago))
    await new_credentials().verify(secret)

    assert first is not None
    assert second == first
    assert await last_used() > first


@pytest.fixture
async def fragile(postgres_url):
    """A database of its own, and a function that closes its doors."""
    name = f"keys_{uuid4().hex}"
    url = await create_database(postgres_url, name, template=TEMPLATE)
    database, server = Database(url), Database(postgres_url, connections=1)

    async def close_doors():
        async with server.engine.connect() as connection:
            run = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await run.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
            ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            await run.execute(text(ends), {"name": name})

    yield database, close_doors
    await database.close()
    await server.close()


async def test_a_key_that_was_known_works_while_postgres_is_away(settings, fragile, redis, new_credentials):
    database, close_doors = fragile
    async with database.transaction() as session:
        await session.execute(
            text("INSERT INTO tenants VALUES ('t', '', :id, now())"), {"id": (tenant_id := uuid4())}
        )
        user = User(tenant_id=tenant_id, email="a@example.com", full_name="", password_hash="!")
        session.add(user)
        await session.flush()
        await add_member(session, tenant_id=tenant_id, user_id=user.id, role=Role.OWNER)
    caller = Caller(user_id=user.id, tenant_id=tenant_id)
    keys = ApiKeys(settings, database, AccessNews(redis, new_credentials()))
    known, never_seen, revoked = [await keys.create(caller, name=name) for name in "abc"]
    credentials = new_credentials(database, credential_ttl_s=0.01, credential_grace_s=3600)
    hasty = new_credentials(database, credential_ttl_s=0.01, credential_grace_s=0.01)
    for each in (credentials, hasty):
        await each.verify(known.text.encode())
    await credentials.verify(revoked.text.encode())
    credentials.forget_key(revoked.row.id)

    await close_doors()
    credentials.forget_all()
    await asyncio.sleep(0.05)

    assert (await credentials.verify(known.text.encode())).key_id == known.row.id
    assert credentials.known(known.text.encode()) is not None  # not asked for again at every request
    for memory, key in ((credentials, never_seen), (credentials, revoked), (hasty, known)):
        with pytest.raises(Exception, match="not currently accepting connections"):
            await memory.verify(key.text.encode())
