"""Sessions: seen, ended, and forgotten everywhere."""

import asyncio
import time
from datetime import timedelta
from uuid import UUID, uuid4

import jwt
import msgspec
import pytest
from sqlalchemy import func, select, update

from api.credentials import Credentials, SessionEnded
from shared.access.caller import Caller
from shared.access.client import Client
from shared.access.homes import settle_home
from shared.access.messages import follow_access
from shared.access.session_tables import RefreshToken, SessionRow
from shared.access.sessions import begin_session, renew_session
from shared.access.tables import User
from shared.access.tokens import AccessTokens, TokenExpired
from shared.database.engine import Database
from shared.settings import Settings
from tests.fixtures.api import Account
from tests.fixtures.sessions import add_session

SESSIONS = "/api/v1/auth/sessions"
NOWHERE = "postgresql+asyncpg://nobody@127.0.0.1:1/none"  # no server listens there


@pytest.fixture
def new_credentials(settings, database):
    """The memory of one more process, which no message reaches."""

    def make(given=database, **changes):
        changed = msgspec.structs.replace(settings, **changes)
        return Credentials(changed, given, AccessTokens(settings.secret_key, ttl_s=900))

    return make


@pytest.fixture
def second_headers(settings, database, account):
    """Another session of the account; gives its headers."""

    async def begin() -> dict[str, str]:
        async with database.transaction() as session:
            home = await settle_home(session, account.user_id)
            begun = await begin_session(session, home, client=Client(user_agent="phone"), settings=settings)
        return {"Authorization": f"Bearer {token_of(settings, account, begun.id)}"}

    return begin


def token_of(settings: Settings, account: Account, session_id: UUID) -> str:
    caller = Caller(user_id=account.user_id, tenant_id=account.tenant_id, session_id=session_id)
    return AccessTokens(settings.secret_key, ttl_s=900).issue(caller)


async def begin(database: Database, account: Account, settings: Settings):
    async with database.transaction() as session:
        home = await settle_home(session, account.user_id)
        return await begin_session(session, home, client=Client(), settings=settings)


async def sessions_of(client, account):
    answer = await client.get(SESSIONS, headers=account.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def me(client, headers):
    return await client.get("/api/v1/auth/me", headers=headers)


async def test_a_user_sees_their_sessions_and_which_is_this(client, account, second_headers, stranger):
    await second_headers()

    seen = await sessions_of(client, account)

    assert [(each["user_agent"], each["current"]) for each in seen] == [("phone", False), ("", True)]
    assert set(seen[0]) == {
        "id",
        "created_at",
        "last_used_at",
        "expires_at",
        "address",
        "user_agent",
        "current",
    }
    assert [each["current"] for each in await sessions_of(client, stranger)] == [True]


async def test_a_session_that_is_ended_lets_its_access_token_in_no_more(client, account, second_headers):
    headers = await second_headers()
    assert (await me(client, headers)).status_code == 200
    ended = (await sessions_of(client, account))[0]["id"]

    answer = await client.delete(f"{SESSIONS}/{ended}", headers=account.headers)

    assert answer.status_code == 204
    refused = await me(client, headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "session_ended")
    assert (await me(client, account.headers)).status_code == 200


async def test_another_users_session_is_not_there(client, account, stranger):
    (theirs,) = await sessions_of(client, stranger)

    for spelled in (theirs["id"], str(uuid4()), "nonsense"):
        answer = await client.delete(f"{SESSIONS}/{spelled}", headers=account.headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")

    assert (await me(client, stranger.headers)).status_code == 200


async def test_logging_out_everywhere_ends_every_session_of_the_user_alone(
    client, account, second_headers, *, stranger
):
    headers = await second_headers()
    assert (await me(client, headers)).status_code == 200

    answer = await client.post("/api/v1/auth/logout-everywhere", headers=account.headers)

    assert answer.status_code == 204
    assert (await me(client, headers)).status_code == 401
    assert (await me(client, account.headers)).status_code == 401
    assert (await me(client, stranger.headers)).status_code == 200


async def test_an_api_key_looks_after_no_sessions(client, account):
    made = await client.post("/api/v1/api-keys", json={"name": "key"}, headers=account.headers)
    headers = {"X-API-Key": made.json()["secret"]}

    answers = [
        await client.get(SESSIONS, headers=headers),
        await client.delete(f"{SESSIONS}/{uuid4()}", headers=headers),
        await client.post("/api/v1/auth/logout-everywhere", headers=headers),
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(403, "session_needed")}


async def test_logging_out_by_the_refresh_token_stops_the_access_token(
    client, account, *, database, settings
):
    begun = await begin(database, account, settings)
    headers = {"Authorization": f"Bearer {token_of(settings, account, begun.id)}"}
    assert (await me(client, headers)).status_code == 200

    await client.post("/api/v1/auth/logout", json={"refresh_token": begun.refresh_token})

    assert (await me(client, headers)).status_code == 401


async def test_a_refresh_token_used_twice_stops_the_access_token(client, account, *, database, settings):
    begun = await begin(database, account, settings)
    body = {"refresh_token": begun.refresh_token}
    renewed = (await client.post("/api/v1/auth/refresh", json=body)).json()
    headers = {"Authorization": f"Bearer {renewed['access_token']}"}
    assert (await me(client, headers)).status_code == 200

    await client.post("/api/v1/auth/refresh", json=body)

    assert (await me(client, headers)).json()["code"] == "session_ended"


async def test_a_renewal_says_from_where_it_came(client, account, *, database, settings):
    begun = await begin(database, account, settings)

    await client.post(
        "/api/v1/auth/refresh",
        json={"refresh_token": begun.refresh_token},
        headers={"User-Agent": "curl/8\t" + "x" * 999},
    )

    newest = (await sessions_of(client, account))[0]
    assert newest["address"] == "127.0.0.1"
    assert newest["user_agent"] == "curl/8" + "x" * 194


async def test_a_session_ends_for_good_however_often_it_is_renewed(database, account, settings):
    short = msgspec.structs.replace(settings, session_ttl_s=3600)
    begun = await begin(database, account, short)
    async with database.transaction() as session:
        hour_ago = func.now() - timedelta(minutes=59)
        await session.execute(update(SessionRow).where(SessionRow.id == begun.id).values(created_at=hour_ago))

    async with database.transaction() as session:
        await renew_session(session, begun.refresh_token, client=Client(), settings=short)

    async with database.transaction() as session:
        query = select(SessionRow.expires_at - func.now()).where(SessionRow.id == begun.id)
        left = await session.scalar(query)
    assert timedelta(seconds=30) < left <= timedelta(minutes=1)


async def test_past_the_bound_the_session_used_longest_ago_makes_room(database, account, settings):
    few = msgspec.structs.replace(settings, max_sessions=3)
    first, second = await begin(database, account, few), await begin(database, account, few)
    async with database.transaction() as session:  # that of the fixture and the second were used long ago
        old = update(SessionRow).where(SessionRow.id != first.id)
        await session.execute(old.values(last_used_at=func.now() - timedelta(hours=1)))

    third = await begin(database, account, few)

    async with database.transaction() as session:
        left = set(await session.scalars(select(SessionRow.id)))
    assert left == {first.id, second.id, third.id}
    assert len(third.ended) == 1


async def test_of_refresh_tokens_that_come_at_once_with_the_end_none_is_left(
    client, account, *, database, settings
):
    begun = await begin(database, account, settings)
    body = {"refresh_token": begun.refresh_token}

    answers = await asyncio.gather(
        *(client.post(f"/api/v1/auth/{route}", json=body) for route in ("refresh", "logout") * 4)
    )

    assert {answer.status_code for answer in answers} <= {200, 204, 401}
    async with database.transaction() as session:
        query = select(func.count()).select_from(RefreshToken).where(RefreshToken.session_id == begun.id)
        assert await session.scalar(query) == 0


async def test_a_token_is_known_until_its_session_is_forgotten(new_credentials, account):
    credentials, token = new_credentials(), account.token.encode()
    caller = await credentials.verify(token)
    assert credentials.known(token) == caller

    credentials.forget_session(caller.session_id)
    forgotten = credentials.known(token)
    await credentials.verify(token)
    credentials.forget_user(account.user_id)

    assert forgotten is credentials.known(token) is None
    assert (caller.user_id, caller.tenant_id) == (account.user_id, account.tenant_id)


async def test_an_end_is_heard_of_by_every_process(new_credentials, account, *, redis, client):
    credentials = new_credentials(credential_ttl_s=3600)
    news = follow_access(redis, credentials)
    news.start()
    async with asyncio.timeout(10):
        while not (await redis.pubsub_numsub("access"))[0][1] > 1:  # the API's own is there as well
            await asyncio.sleep(0.01)
        await credentials.verify(account.token.encode())

        await client.post("/api/v1/auth/logout-everywhere", headers=account.headers)

        while credentials.known(account.token.encode()) is not None:
            await asyncio.sleep(0.01)
    await news.close()
    with pytest.raises(SessionEnded):
        await credentials.verify(account.token.encode())


async def test_a_known_token_is_refused_once_it_expires(new_credentials, account, settings):
    tokens = AccessTokens(settings.secret_key, ttl_s=900)
    claims = jwt.decode(account.token, options={"verify_signature": False})
    headers = jwt.get_unverified_header(account.token)
    almost = {**claims, "exp": int(time.time()) - 3}  # believed for five seconds more, as clocks differ
    token = jwt.encode(almost, tokens._key, headers=headers).encode()
    credentials = new_credentials()
    assert (await credentials.verify(token)).user_id == account.user_id

    await asyncio.sleep(2.1)  # until its time is over: that is what is tested

    assert credentials.known(token) is None
    with pytest.raises(TokenExpired):
        await credentials.verify(token)


async def test_a_known_session_goes_on_while_postgresql_is_away(new_credentials, account, database):
    credentials, token = new_credentials(), account.token.encode()
    await credentials.verify(token)
    credentials.forget_all()  # what a lost message does
    credentials._database = Database(NOWHERE)

    during = await credentials.verify(token)
    credentials._database = database

    assert during.user_id == account.user_id


async def test_an_unknown_session_is_an_outage_while_postgresql_is_away(new_credentials, account):
    with pytest.raises(OSError, match="Connect call failed"):
        await new_credentials(Database(NOWHERE)).verify(account.token.encode())


async def test_a_token_does_not_borrow_another_users_session(new_credentials, account, *, stranger, settings):
    token = token_of(settings, account, UUID(session_id_in(stranger.token)))

    with pytest.raises(SessionEnded):
        await new_credentials().verify(token.encode())


async def test_a_user_who_is_gone_has_no_sessions(client, account, database):
    async with database.transaction() as session:
        await add_session(session, account.user_id)
        await session.delete(await session.get(User, account.user_id))

    assert (await me(client, account.headers)).status_code == 401


def session_id_in(token: str) -> str:
    return jwt.decode(token, options={"verify_signature": False})["sid"]
