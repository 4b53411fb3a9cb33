"""Organisations over HTTP, and going from one to another."""

import asyncio
from uuid import UUID

import jwt
import msgspec
import pytest

from api.credentials import Credentials
from shared.access.caller import Caller
from shared.access.client import Client
from shared.access.homes import add_member
from shared.access.messages import AccessNews
from shared.access.organizations import Organizations, TooManyOrganizations
from shared.access.permissions import Role
from shared.access.session_tables import RefreshToken
from shared.access.tables import User
from shared.access.tokens import AccessTokens, new_refresh_token, refresh_token_hash

API = "/api/v1"
HERE = f"{API}/organization"
MINE = f"{API}/organizations"
OWNER, ADMIN, MEMBER, VIEWER = Role
CLIENT = Client(address="127.0.0.1", user_agent="pytest")


@pytest.fixture
async def session(account, database):
    """A log-in, without a password's hash."""
    refresh_token = new_refresh_token()
    async with database.transaction() as opened:
        session_id = UUID(jwt.decode(account.token, options={"verify_signature": False})["sid"])
        opened.add(RefreshToken(session_id=session_id, token_hash=refresh_token_hash(refresh_token)))
    return {"access_token": account.token, "refresh_token": refresh_token}


def headers_of(session):
    return {"Authorization": f"Bearer {session['access_token']}"}


def code_of(answer):
    return (answer.status_code, answer.json()["code"])


@pytest.fixture
def switch(client):
    async def send(session, organization, **body):
        body = {"organization": organization, "refresh_token": session["refresh_token"], **body}
        return await client.post(f"{API}/auth/switch", json=body, headers=headers_of(session))

    return send


async def test_an_organisation_is_read_and_renamed(client, account, stranger):
    renamed = await client.patch(HERE, json={"name": "Weather Office"}, headers=account.headers)
    read = (await client.get(HERE, headers=account.headers)).json()

    assert renamed.json() == read
    assert set(read) == {"id", "name", "role", "created_at"}
    assert (read["id"], read["name"], read["role"]) == (str(account.tenant_id), "Weather Office", "owner")
    assert (await client.get(HERE, headers=stranger.headers)).json()["name"] == "Ada Tester"


async def test_an_organisation_has_a_name_of_one_line(client, account):
    for name in ("", "  ", "a\nb", "a\n", "x" * 201, None):
        answers = [
            await client.patch(HERE, json={"name": name}, headers=account.headers),
            await client.post(MINE, json={"name": name}, headers=account.headers),
        ]
        assert {(each.status_code, each.json()["errors"][0]["pointer"]) for each in answers} == {
            (422, "/name")
        }


async def test_a_further_one_is_listed_with_the_callers_role(client, account, join):
    made = (await client.post(MINE, json={"name": "Second"}, headers=account.headers)).json()
    viewer = await join(account, VIEWER)

    mine = (await client.get(MINE, headers=account.headers)).json()["items"]
    theirs = (await client.get(MINE, headers=viewer.headers)).json()["items"]

    assert [(each["id"], each["role"]) for each in mine] == [
        (str(account.tenant_id), "owner"),
        (made["id"], "owner"),
    ]
    assert sorted(each["role"] for each in theirs) == ["owner", "viewer"]


async def test_somebody_is_in_so_many_and_no_more_even_at_once(settings, database, redis, account):
    news = AccessNews(redis, Credentials(settings, database, AccessTokens(settings.secret_key, ttl_s=60)))
    organizations = Organizations(msgspec.structs.replace(settings, max_organizations=3), database, news)
    caller = Caller(user_id=account.user_id, tenant_id=account.tenant_id)

    made = await asyncio.gather(
        *(organizations.create(caller, name="O") for _ in range(4)), return_exceptions=True
    )

    assert sum(isinstance(each, TooManyOrganizations) for each in made) == 2


async def test_switching_goes_on_in_another_and_leaves_the_home(client, account, session, switch, database):
    other = (await client.post(MINE, json={"name": "Other"}, headers=account.headers)).json()["id"]
    assert (await client.get(HERE, headers=account.headers)).json()["name"] == "Ada Tester"

    switched = (await switch(session, other)).json()
    body = {"refresh_token": switched["refresh_token"]}
    refreshed = (await client.post(f"{API}/auth/refresh", json=body)).json()

    assert switched["user"]["tenant_id"] == refreshed["user"]["tenant_id"] == other
    for tokens in (session, switched, refreshed):  # an older one of the same session goes with it
        assert (await client.get(HERE, headers=headers_of(tokens))).json()["name"] == "Other"
        me = (await client.get(f"{API}/auth/me", headers=headers_of(tokens))).json()
        assert (me["tenant_id"], len(me["organizations"])) == (other, 2)
    async with database.transaction() as opened:
        assert (await opened.get_one(User, account.user_id)).tenant_id == account.tenant_id


async def test_nobody_switches_to_where_they_are_not_or_with_anothers_token(
    account, stranger, session, switch
):
    home = str(account.tenant_id)
    theirs = {"access_token": stranger.token, "refresh_token": session["refresh_token"]}

    answers = [
        await switch(session, str(stranger.tenant_id)),
        await switch(session, "nonsense"),
        await switch(theirs, str(stranger.tenant_id)),
        await switch(session, home, refresh_token="unknown"),
    ]
    spent = [await switch(session, home) for _ in range(2)]

    assert [code_of(each) for each in answers] == [
        (404, "organization_not_found"),
        (404, "organization_not_found"),
        (401, "invalid_refresh_token"),
        (401, "invalid_refresh_token"),
    ]
    assert [each.status_code for each in spent] == [200, 401]


async def test_a_log_in_to_an_organisation_ends_with_the_membership(
    client, account, stranger, session, switch, database
):
    async with database.transaction() as opened:
        await add_member(opened, tenant_id=stranger.tenant_id, user_id=account.user_id, role=MEMBER)
    switched = (await switch(session, str(stranger.tenant_id))).json()
    await client.delete(f"{HERE}/members/{account.user_id}", headers=stranger.headers)

    body = {"refresh_token": switched["refresh_token"]}
    refreshed = await client.post(f"{API}/auth/refresh", json=body)

    assert code_of(refreshed) == (401, "invalid_refresh_token")
    assert code_of(await client.get(HERE, headers=headers_of(switched))) == (401, "session_ended")


async def test_a_key_shows_no_other_organisation_of_its_maker(client, account):
    await client.post(MINE, json={"name": "Other"}, headers=account.headers)
    key = await client.post(f"{API}/api-keys", json={"name": "k"}, headers=account.headers)

    me = (await client.get(f"{API}/auth/me", headers={"X-API-Key": key.json()["secret"]})).json()

    assert [each["id"] for each in me["organizations"]] == [str(account.tenant_id)]
    assert me["home_organization_id"] == str(account.tenant_id)


@pytest.fixture
def home(client, account):
    """Where the account would log in to now, by what it is told and by what a log-in does."""

    async def ask(**body):
        if body:
            answer = await client.patch(f"{API}/auth/me", json=body, headers=account.headers)
            if answer.status_code != 200:
                return code_of(answer)
        told = (await client.get(f"{API}/auth/me", headers=account.headers)).json()
        return told["home_organization_id"]

    return ask


async def test_a_log_in_starts_in_the_home_that_was_chosen(client, account, home, app):
    other = (await client.post(MINE, json={"name": "Other"}, headers=account.headers)).json()["id"]
    first = await home()

    chosen = await home(home_organization_id=other)
    logged_in = await app.state.accounts.begin(account.user_id, client=CLIENT, method="password")

    assert (first, chosen, str(logged_in.tenant_id)) == (str(account.tenant_id), other, other)
    here = (await client.get(HERE, headers=account.headers)).json()["id"]
    assert here == first  # sessions of before stay where they are


async def test_a_home_is_one_of_their_own_organisations(account, stranger, home):
    not_theirs = await home(home_organization_id=str(stranger.tenant_id), full_name="Changed")
    malformed = await home(home_organization_id="nonsense")

    assert (not_theirs, malformed) == ((404, "organization_not_found"), (422, "invalid_input"))
    assert await home() == str(account.tenant_id)


async def test_whoever_is_removed_from_their_home_is_at_home_where_they_were_before(
    client, account, stranger, home, database
):
    async with database.transaction() as opened:
        await add_member(opened, tenant_id=stranger.tenant_id, user_id=account.user_id, role=MEMBER)
    chosen = await home(home_organization_id=str(stranger.tenant_id))

    await client.delete(f"{HERE}/members/{account.user_id}", headers=stranger.headers)

    assert (chosen, await home()) == (str(stranger.tenant_id), str(account.tenant_id))


async def test_only_the_new_home_is_told_of_it(client, account, stranger, home, database):
    async with database.transaction() as opened:
        await add_member(opened, tenant_id=stranger.tenant_id, user_id=account.user_id, role=MEMBER)

    await home(home_organization_id=str(stranger.tenant_id))

    logs = [
        (await client.get(f"{API}/audit-log?action=user.change", headers=who.headers)).json()["items"]
        for who in (account, stranger)
    ]
    assert [[each["after"] for each in log] for log in logs] == [
        [],
        [{"home_organization_id": str(stranger.tenant_id)}],
    ]
