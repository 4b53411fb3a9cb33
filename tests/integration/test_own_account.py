"""A user's name, address and password: changed by whoever knows the password, or has the mail."""

import asyncio
import re
from datetime import timedelta

import bcrypt
import pytest
from sqlalchemy import func, select, update

from shared.access.login_delays import FREE
from shared.access.password_reset import MAX_LIVING, answer_requests, remove_expired_resets
from shared.access.reset_tables import PasswordReset, ResetRequest
from shared.access.session_tables import SessionRow
from shared.access.sessions import remove_expired_sessions
from shared.access.tables import User
from shared.mail.tables import MailRow
from tests.fixtures.sessions import add_session

ME, PASSWORD = "/api/v1/auth/me", "/api/v1/auth/password"
RESET, CONFIRM = "/api/v1/auth/password-reset", "/api/v1/auth/password-reset/confirm"
OLD, NEW = "the old password", "the new password"


@pytest.fixture
async def ada(account, database):
    """An account whose password is OLD, by a hash that is quick to compare."""
    quick = bcrypt.hashpw(OLD.encode(), bcrypt.gensalt(4)).decode()
    async with database.transaction() as session:
        await session.execute(update(User).where(User.id == account.user_id).values(password_hash=quick))
        await add_session(session, account.user_id)  # besides that of the fixture
    return account


@pytest.fixture
def mails(database):
    """All that wait, by address: their texts."""

    async def read() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        async with database.transaction() as session:
            for row in await session.scalars(select(MailRow).order_by(MailRow.id)):
                found.setdefault(row.to, []).append(row.text)
        return found

    return read


@pytest.fixture
def reset_token(client, database, mails):
    """Asks for a token, and reads it in the mail."""

    async def ask(email: str) -> str:
        answer = await client.post(RESET, json={"email": email})
        assert answer.status_code == 202, answer.text
        async with database.transaction() as session:
            await answer_requests(session, public_url="https://yard.example.com")
        return re.search(r"^    ([\w-]{43})$", (await mails())[email][-1], re.MULTILINE)[1]

    return ask


async def sessions_of(database, account) -> int:
    async with database.transaction() as session:
        query = select(func.count()).where(SessionRow.user_id == account.user_id)
        return await session.scalar(query)


async def opens(database, account, password: str) -> bool:
    async with database.transaction() as session:
        kept = await session.scalar(select(User.password_hash).where(User.id == account.user_id))
    return bcrypt.checkpw(password.encode(), kept.encode())


async def test_a_name_is_changed_without_the_password(client, ada, mails):
    answer = await client.patch(ME, json={"full_name": " Ada King "}, headers=ada.headers)

    assert (answer.status_code, answer.json()["full_name"], answer.json()["email"]) == (
        200,
        "Ada King",
        ada.email,
    )
    assert await mails() == {}


async def test_another_address_takes_the_password_and_both_are_told(client, ada, *, mails, reset_token):
    token = await reset_token(ada.email)
    wanted = {"email": " King@Example.com "}

    without = await client.patch(ME, json=wanted, headers=ada.headers)
    answer = await client.patch(ME, json={**wanted, "password": OLD}, headers=ada.headers)

    assert (without.status_code, without.json()["code"]) == (403, "wrong_password")
    assert (answer.status_code, answer.json()["email"]) == (200, "king@example.com")
    told = await mails()
    assert [len(told[email]) for email in (ada.email, "king@example.com")] == [2, 1]
    late = await client.post(CONFIRM, json={"token": token, "new_password": NEW})
    assert late.json()["code"] == "invalid_reset_token"  # it was mailed to the address of before


async def test_an_address_that_somebody_has_is_refused(client, ada, stranger):
    wanted = {"email": stranger.email, "password": OLD}

    answer = await client.patch(ME, json=wanted, headers=ada.headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")


async def test_another_password_ends_every_other_session(client, ada, *, database, mails):
    body = {"old_password": OLD, "new_password": NEW}

    answer = await client.post(PASSWORD, json=body, headers=ada.headers)

    assert answer.status_code == 204
    assert await opens(database, ada, NEW)
    assert await sessions_of(database, ada) == 1
    assert (await client.get(ME, headers=ada.headers)).status_code == 200
    assert "was changed" in (await mails())[ada.email][0]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"old_password": "a wrong one"}, 403, "wrong_password"),
        ({"new_password": "short"}, 422, "invalid_input"),
        ({"new_password": "x" * 1001}, 422, "invalid_input"),
    ],
)
async def test_a_password_that_will_not_do_changes_nothing(client, ada, database, *, changes, status, code):
    body = {"old_password": OLD, "new_password": NEW, **changes}

    answer = await client.post(PASSWORD, json=body, headers=ada.headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await opens(database, ada, OLD)
    assert await sessions_of(database, ada) == 2


async def test_a_stolen_token_guesses_no_faster_than_a_log_in(client, ada, redis):
    for key in (f"{PASSWORD}", "again"):
        body = {"old_password": key, "new_password": NEW}
        assert (await client.post(PASSWORD, json=body, headers=ada.headers)).status_code == 403
    (counted,) = await redis.keys("login:*:*")
    await redis.hset(counted, "failures", FREE + 10)

    answer = await client.patch(ME, json={"email": "a@b.cd", "password": OLD}, headers=ada.headers)

    assert (answer.status_code, answer.json()["code"]) == (429, "login_delayed")
    assert int(answer.headers["Retry-After"]) <= 60


async def test_an_api_key_changes_neither_name_nor_password(client, ada):
    made = await client.post("/api/v1/api-keys", json={"name": "key"}, headers=ada.headers)
    headers = {"X-API-Key": made.json()["secret"]}
    body = {"old_password": OLD, "new_password": NEW}

    answers = [
        await client.patch(ME, json={"full_name": "Eve"}, headers=headers),
        await client.post(PASSWORD, json=body, headers=headers),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (403, "session_needed"),
        (403, "session_needed"),
    ]


async def test_who_has_the_mail_sets_another_password_once(client, ada, *, database, reset_token):
    token, other = await reset_token(ada.email), await reset_token(ada.email)
    body = {"token": token, "new_password": NEW}

    answers = await asyncio.gather(*(client.post(CONFIRM, json=body) for _ in range(2)))
    late = await client.post(CONFIRM, json={"token": other, "new_password": OLD})

    assert sorted(answer.status_code for answer in answers) == [204, 422]
    assert late.json()["code"] == "invalid_reset_token"
    assert await opens(database, ada, NEW)
    assert await sessions_of(database, ada) == 0
    assert (await client.get(ME, headers=ada.headers)).status_code == 401


async def test_a_password_that_will_not_do_leaves_the_token_good(client, ada, *, database, reset_token):
    token = await reset_token(ada.email)

    refused = await client.post(CONFIRM, json={"token": token, "new_password": "short"})
    answer = await client.post(CONFIRM, json={"token": token, "new_password": NEW})

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/new_password")
    assert answer.status_code == 204
    assert await opens(database, ada, NEW)


async def test_a_token_is_good_for_an_hour_and_kept_as_a_hash(client, ada, *, database, reset_token):
    token = await reset_token(ada.email)
    async with database.transaction() as session:
        kept = await session.scalar(select(PasswordReset))
        left = await session.scalar(select(PasswordReset.expires_at - func.now()))
        await session.execute(update(PasswordReset).values(expires_at=func.now()))

    answer = await client.post(CONFIRM, json={"token": token, "new_password": NEW})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/token")
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert token not in kept.token_hash


async def test_who_has_an_account_is_not_told(client, ada, *, database, mails):
    known = await client.post(RESET, json={"email": ada.email})
    unknown = await client.post(RESET, json={"email": "nobody@example.com"})

    # Neither is looked up before the answer: both leave one row of the same kind.
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(ResetRequest)) == 2
        await answer_requests(session, public_url="https://yard.example.com")
    assert list(await mails()) == [ada.email]


async def test_nobody_is_flooded_with_mails(client, ada, *, database, mails):
    for _ in range(MAX_LIVING + 2):
        await client.post(RESET, json={"email": ada.email})

    async with database.transaction() as session:
        await answer_requests(session, public_url="https://yard.example.com")

    assert len((await mails())[ada.email]) == MAX_LIVING


async def test_what_expired_is_removed_and_what_lives_stays(ada, stranger, *, database, reset_token):
    await reset_token(ada.email)
    await reset_token(stranger.email)
    async with database.transaction() as session:
        over = {"expires_at": func.now() - timedelta(seconds=1)}
        await session.execute(update(SessionRow).where(SessionRow.user_id == ada.user_id).values(over))
        await session.execute(update(PasswordReset).where(PasswordReset.user_id == ada.user_id).values(over))

    async with database.transaction() as session:
        await remove_expired_sessions(session)
        await remove_expired_resets(session)

    assert (await sessions_of(database, ada), await sessions_of(database, stranger)) == (0, 1)
    async with database.transaction() as session:
        assert list(await session.scalars(select(PasswordReset.user_id))) == [stranger.user_id]


async def test_an_account_without_a_password_is_not_entered_by_one(client, account):
    answer = await client.post("/api/v1/auth/login", json={"email": account.email, "password": "!"})

    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")
