"""Accounts over HTTP, on real tables."""

import asyncio
import statistics
import time
from datetime import timedelta

import jwt
import pytest
from sqlalchemy import func, select, update

from shared.access.session_tables import RefreshToken, SessionRow
from shared.access.tables import Tenant, User
from shared.clock import utc_now

JOHN = {"email": "user@example.com", "password": "SecureP@ss123", "full_name": "John Doe"}


@pytest.fixture
async def registered(client):
    answer = await client.post("/api/v1/auth/register", json=JOHN)
    assert answer.status_code == 201
    return answer.json()


@pytest.fixture
async def logged_in(client, registered):  # noqa: ARG001  the account must be there
    answer = await client.post("/api/v1/auth/login", json=_credentials())
    assert answer.status_code == 200
    return answer.json()


def _credentials(**changes):
    return {"email": JOHN["email"], "password": JOHN["password"], **changes}


async def refresh(client, token):
    return await client.post("/api/v1/auth/refresh", json={"refresh_token": token})


async def test_registering_makes_a_user_with_a_tenant_and_gives_no_hash_away(client, database):
    answer = await client.post("/api/v1/auth/register", json=JOHN)

    assert answer.status_code == 201
    assert set(answer.json()) == {
        "id",
        "email",
        "full_name",
        "tenant_id",
        "home_organization_id",
        "created_at",
    }
    async with database.transaction() as session:
        user = await session.scalar(select(User))
        assert (await session.get(Tenant, user.tenant_id)) is not None
    assert user.password_hash.startswith("$2b$12$")
    assert JOHN["password"] not in user.password_hash


async def test_an_address_is_taken_in_every_spelling(client, registered):  # noqa: ARG001
    answer = await client.post("/api/v1/auth/register", json={**JOHN, "email": " USER@Example.com"})

    assert answer.status_code == 409
    assert answer.json()["code"] == "email_taken"


async def test_of_two_who_register_one_address_at_once_one_succeeds(client, database):
    answers = await asyncio.gather(*(client.post("/api/v1/auth/register", json=JOHN) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Tenant)) == 1


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"email": "nobody"}, "/email"),
        ({"email": None}, "/email"),
        ({"password": "short"}, "/password"),
        ({"full_name": "a\x00b"}, "/full_name"),
        ({"full_name": 5}, "/full_name"),
        ({"admin": True}, ""),
    ],
)
async def test_a_registration_that_does_not_fit_names_the_field(client, changes, pointer):
    answer = await client.post("/api/v1/auth/register", json={**JOHN, **changes})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_logging_in_gives_tokens_that_work(client, registered):
    answer = await client.post("/api/v1/auth/login", json=_credentials())

    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"access_token", "refresh_token", "token_type", "expires_in", "user"}
    assert (body["token_type"], body["expires_in"], body["user"]) == ("bearer", 900, registered)
    me = await client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {body['access_token']}"})
    own = {"id": registered["tenant_id"], "name": JOHN["full_name"], "role": "owner"}
    (organization,) = me.json()["organizations"]
    assert (me.status_code, organization.items() >= own.items()) == (200, True)
    assert {name: value for name, value in me.json().items() if name != "organizations"} == registered


@pytest.mark.parametrize(
    "wrong", [{"password": "not the password"}, {"email": "nobody@example.com"}, {"email": "no address"}]
)
async def test_wrong_credentials_are_refused_in_the_same_words(client, registered, wrong):  # noqa: ARG001
    answer = await client.post("/api/v1/auth/login", json=_credentials(**wrong))

    assert answer.status_code == 401
    assert answer.json()["detail"] == "no account has this email address and this password"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_an_unknown_account_takes_as_long_to_refuse_as_a_wrong_password(client, registered):  # noqa: ARG001
    async def seconds(**changes):
        started = time.perf_counter()
        await client.post("/api/v1/auth/login", json=_credentials(**changes))
        return time.perf_counter() - started

    known = [await seconds(password="not the password") for _ in range(5)]
    unknown = [await seconds(email="nobody@example.com") for _ in range(5)]

    # Without the comparison that nobody passes it would be a hundred times less.
    assert 0.4 < statistics.median(unknown) / statistics.median(known) < 2.5


@pytest.mark.parametrize(("length", "other"), [(72, 73), (300, 299)])
async def test_every_character_of_a_long_password_counts(client, length, other):
    await client.post("/api/v1/auth/register", json={**JOHN, "password": "x" * length})

    right, wrong = [
        await client.post("/api/v1/auth/login", json=_credentials(password="x" * count))
        for count in (length, other)
    ]

    assert (right.status_code, wrong.status_code) == (200, 401)


async def test_others_are_answered_while_passwords_are_hashed(client, registered):  # noqa: ARG001
    logins = [asyncio.create_task(client.post("/api/v1/auth/login", json=_credentials())) for _ in range(4)]
    answered = 0
    while not all(login.done() for login in logins):
        assert (await client.get("/livez")).status_code == 200
        answered += 1
        await asyncio.sleep(0.005)

    assert answered >= 10


async def test_a_refresh_token_works_once_and_gives_the_next(client, logged_in):
    first = await refresh(client, logged_in["refresh_token"])
    second = await refresh(client, first.json()["refresh_token"])

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["refresh_token"] != logged_in["refresh_token"]


async def test_a_refresh_token_used_twice_ends_the_whole_log_in(client, logged_in):
    newest = (await refresh(client, logged_in["refresh_token"])).json()["refresh_token"]

    again = await refresh(client, logged_in["refresh_token"])

    assert again.status_code == 401
    assert again.json()["code"] == "invalid_refresh_token"
    assert (await refresh(client, newest)).status_code == 401


async def test_another_log_in_survives_the_end_of_one(client, logged_in):
    other = (await client.post("/api/v1/auth/login", json=_credentials())).json()
    await refresh(client, logged_in["refresh_token"])
    await refresh(client, logged_in["refresh_token"])

    assert (await refresh(client, other["refresh_token"])).status_code == 200


async def test_of_two_refreshes_at_once_one_succeeds(client, logged_in):
    answers = await asyncio.gather(*(refresh(client, logged_in["refresh_token"]) for _ in range(3)))

    assert sorted(answer.status_code for answer in answers) == [200, 401, 401]


async def test_an_expired_refresh_token_is_refused(client, database, logged_in):
    async with database.transaction() as session:
        await session.execute(update(SessionRow).values(expires_at=utc_now() - timedelta(seconds=1)))

    assert (await refresh(client, logged_in["refresh_token"])).status_code == 401


async def test_the_tables_keep_no_refresh_token(database, logged_in):
    async with database.transaction() as session:
        kept = await session.scalar(select(RefreshToken.token_hash))

    assert logged_in["refresh_token"] not in kept


async def test_logging_out_ends_the_log_in(client, logged_in):
    answer = await client.post("/api/v1/auth/logout", json={"refresh_token": logged_in["refresh_token"]})

    assert answer.status_code == 204
    assert (await refresh(client, logged_in["refresh_token"])).status_code == 401


async def test_logging_out_with_an_unknown_token_is_no_news(client):
    answer = await client.post("/api/v1/auth/logout", json={"refresh_token": "unknown"})

    assert answer.status_code == 204


@pytest.mark.parametrize(
    ("authorization", "error"),
    [
        (None, "invalid_request"),
        ("Basic dXNlcjpwYXNz", "invalid_request"),
        ("Bearer", "invalid_request"),
        ("Bearer nonsense", "invalid_token"),
        (f"Bearer {jwt.encode({'sub': 'x'}, None, algorithm='none')}", "invalid_token"),
    ],
)
async def test_without_a_valid_token_nobody_comes_in(client, authorization, error):
    headers = {"Authorization": authorization} if authorization else {}

    answer = await client.get("/api/v1/auth/me", headers=headers)

    assert answer.status_code == 401
    assert f'error="{error}"' in answer.headers["WWW-Authenticate"]


async def test_the_word_bearer_may_be_written_small(client, account):
    answer = await client.get("/api/v1/auth/me", headers={"Authorization": f"bearer {account.token}"})

    assert answer.status_code == 200


async def test_a_token_outlives_its_user_but_finds_nobody(client, account, database):
    async with database.transaction() as session:
        await session.delete(await session.get(User, account.user_id))

    answer = await client.get("/api/v1/auth/me", headers=account.headers)

    assert answer.status_code == 401
