"""Another password leaves API keys as they are, or ends all that its owner made: as they say."""

import asyncio
import hashlib
from datetime import timedelta

import bcrypt
import msgspec
import pytest
from sqlalchemy import func, select, update

from api.credentials import Credentials
from shared.access import passwords
from shared.access.homes import add_member
from shared.access.messages import follow_access
from shared.access.permissions import Role
from shared.access.reset_tables import PasswordReset
from shared.access.tables import User
from shared.access.tokens import AccessTokens
from shared.mail.tables import MailRow

API = "/api/v1"
OLD, NEW, TOKEN = "the old password", "the new password", "t" * 43
ROADS = ("password", "password-reset/confirm")


@pytest.fixture
async def change(client, account, database, monkeypatch):
    """Sets another password of the account, by one of the roads; hashed by fewer rounds than real ones."""
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    quick = bcrypt.hashpw(OLD.encode(), bcrypt.gensalt(4)).decode()
    reset = PasswordReset(
        user_id=account.user_id,
        token_hash=hashlib.sha256(TOKEN.encode()).hexdigest(),
        expires_at=func.now() + timedelta(hours=1),
    )
    async with database.transaction() as session:
        await session.execute(update(User).where(User.id == account.user_id).values(password_hash=quick))
        session.add(reset)

    async def send(road, **wanted):
        proof = {"old_password": OLD} if road == "password" else {"token": TOKEN}
        body = {"new_password": NEW, **proof, **wanted}
        return await client.post(f"{API}/auth/{road}", json=body, headers=account.headers)

    return send


@pytest.fixture
async def keys(client, account, *, stranger, acting, database):
    """Headers with keys: the account's at home, its own at the stranger's, and the stranger's."""
    async with database.transaction() as session:
        await add_member(session, tenant_id=stranger.tenant_id, user_id=account.user_id, role=Role.MEMBER)
    made = {}
    for name, who in {"home": account, "away": await acting(account, stranger), "other": stranger}.items():
        answer = await client.post(f"{API}/api-keys", json={"name": name}, headers=who.headers)
        made[name] = {"X-API-Key": answer.json()["secret"]}
    return made


async def statuses(client, keys):
    return {name: (await client.get(f"{API}/auth/me", headers=key)).status_code for name, key in keys.items()}


async def revoked_in_log(client, who):
    acts = await client.get(f"{API}/audit-log?action=api_key.revoke", headers=who.headers)
    return [(act["target"]["name"], act["actor"]["name"]) for act in acts.json()["items"]]


async def test_a_changed_password_ends_every_key_of_its_owner_if_so_wanted(
    client, account, *, stranger, change, keys
):
    assert await statuses(client, keys) == {"home": 200, "away": 200, "other": 200}

    changed = await change("password", revoke_api_keys=True)

    assert changed.status_code == 204, changed.text
    assert await statuses(client, keys) == {"home": 401, "away": 401, "other": 200}
    assert await revoked_in_log(client, account) == [("home", account.email)]
    assert await revoked_in_log(client, stranger) == [("away", account.email)]
    acts = await client.get(f"{API}/audit-log?action=auth.password_change", headers=account.headers)
    assert [act["after"] for act in acts.json()["items"]] == [{"revoked_api_keys": 2}]


async def test_a_reset_ends_them_too_and_the_mail_says_so(client, change, keys, database):
    changed = await change("password-reset/confirm", revoke_api_keys=True)

    assert changed.status_code == 204, changed.text
    assert await statuses(client, keys) == {"home": 401, "away": 401, "other": 200}
    async with database.transaction() as session:
        (mail,) = await session.scalars(select(MailRow.text))
    assert "All API keys that you had made were revoked" in mail


async def test_other_processes_hear_of_it(change, keys, *, settings, database, redis):
    # Without the message the key would go on for another hour.
    hour = msgspec.structs.replace(settings, credential_ttl_s=3600)
    elsewhere = Credentials(hour, database, AccessTokens(settings.secret_key, ttl_s=900))
    news = follow_access(redis, elsewhere)
    news.start()
    key = keys["away"]["X-API-Key"].encode()
    await elsewhere.verify(key)

    await change("password", revoke_api_keys=True)

    async with asyncio.timeout(30):
        while elsewhere.known(key) is not None:
            await asyncio.sleep(0.01)
    await news.close()


@pytest.mark.parametrize("road", ROADS)
async def test_unless_it_is_wanted_keys_go_on(client, change, keys, *, road):
    assert (await change(road)).status_code == 204

    assert await statuses(client, keys) == {"home": 200, "away": 200, "other": 200}


@pytest.mark.parametrize("road", ROADS)
async def test_what_is_no_yes_or_no_is_refused_and_changes_nothing(client, change, keys, *, road):
    answer = await change(road, revoke_api_keys="yes")

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/revoke_api_keys")
    assert await statuses(client, keys) == {"home": 200, "away": 200, "other": 200}


async def test_a_wrong_password_ends_no_key(client, account, keys):
    body = {"old_password": "a wrong one", "new_password": NEW, "revoke_api_keys": True}

    answer = await client.post(f"{API}/auth/password", json=body, headers=account.headers)

    assert answer.status_code == 403
    assert await statuses(client, keys) == {"home": 200, "away": 200, "other": 200}
