"""Log-ins by OpenID Connect, at a real provider in a process of its own."""

from datetime import timedelta
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import select

from shared.access.client import Client
from shared.access.oidc.tables import IdentityRow
from shared.access.reset_tables import PasswordReset
from shared.access.tables import User
from shared.audit.tables import AuditRow
from shared.clock import utc_now
from shared.settings import Settings
from tests.fixtures.oidc import BEGIN, CALLBACK, with_provider
from tests.fixtures.oidc_client import PUBLIC_CLIENT_ID
from tests.fixtures.oidc_lies import LIES

LINK = "/api/v1/auth/oidc/link"
GRACE = {"email": "Grace@Example.com", "email_verified": True, "name": "Grace Hopper"}


@pytest.fixture
def settings(settings: Settings, oidc_provider) -> Settings:
    return with_provider(settings, oidc_provider)


@pytest.fixture
async def grace(oidc_provider) -> str:
    await oidc_provider.put_user("grace", **GRACE)
    return "grace"


async def test_a_first_log_in_makes_an_account_and_the_next_finds_it(browser, database, grace):
    first = await browser.log_in(grace)
    again = await browser.log_in(grace)

    assert first.status_code == again.status_code == 200, (first.text, again.text)
    user = first.json()["user"]
    assert (user["email"], user["full_name"]) == ("grace@example.com", "Grace Hopper")
    assert again.json()["user"] == user
    me = await browser.client.get(
        "/api/v1/auth/me", headers={"Authorization": f"Bearer {first.json()['access_token']}"}
    )
    assert [own["role"] for own in me.json()["organizations"]] == ["owner"]
    async with database.transaction() as session:
        acts = list(await session.scalars(select(AuditRow).order_by(AuditRow.id)))
    assert [act.action for act in acts] == ["auth.register", "identity.link", "auth.login", "auth.login"]
    assert acts[1].after["subject"] == grace
    assert acts[2].after == {"method": "oidc"}


async def test_a_browser_that_asks_for_cookies_comes_back_logged_in_by_them(browser, client, grace):
    begun = await client.get(f"{BEGIN}?cookies=true")

    answer = await browser.come_back(await browser.provider.log_in(begun.headers["location"], grace))

    assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text
    assert answer.content == b""
    assert set(client.cookies) == {"modelyard_session", "modelyard_refresh", "modelyard_csrf"}
    assert (await client.get("/api/v1/auth/me")).json()["email"] == "grace@example.com"


async def test_no_password_opens_an_account_that_a_provider_made(browser, grace):
    await browser.log_in(grace)

    for password in ("!", "", "anything at all"):
        known = {"email": "grace@example.com", "password": password}
        answer = await browser.client.post("/api/v1/auth/login", json=known)
        assert answer.json()["code"] == "wrong_credentials"


async def test_the_browser_is_sent_with_all_that_binds_the_answer_to_it(client):
    answer = await client.get(BEGIN)

    asked = {name: value for name, (value,) in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert asked.keys() == {
        "response_type",
        "client_id",
        "scope",
        "redirect_uri",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    }
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["redirect_uri"] == f"http://modelyard.test{CALLBACK}"
    assert all(len(asked[name]) >= 43 for name in ("state", "nonce", "code_challenge"))  # 256 bits
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=lax", "max-age=600"))
    assert client.cookies["modelyard_oidc"] not in answer.headers["location"]


async def test_an_answer_is_taken_once_and_from_the_browser_that_began(browser, client, oidc_provider, grace):
    url = await oidc_provider.log_in(await browser.begin(), grace)
    other_state = url.replace("state=", "state=x")
    cookie = client.cookies["modelyard_oidc"]

    refused = [await client.get(other_state), await client.get(CALLBACK)]
    taken = await client.get(url)
    client.cookies.set("modelyard_oidc", cookie, domain="modelyard.test")
    refused.append(await client.get(url))
    elsewhere = await oidc_provider.log_in(await browser.begin(), grace)
    client.cookies.clear()
    refused.append(await client.get(elsewhere))

    assert taken.status_code == 200, taken.text
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {
        (401, "oidc_state_invalid")
    }


async def test_a_code_of_another_log_in_is_not_taken(browser, client, oidc_provider, grace):
    stolen = await oidc_provider.log_in(await browser.begin(), grace)
    own = await oidc_provider.log_in(await browser.begin(), grace)
    (stolen_code,), (code,) = (parse_qs(urlsplit(url).query)["code"] for url in (stolen, own))

    answer = await client.get(own.replace(code, stolen_code))

    assert (answer.status_code, answer.json()["code"]) == (401, "oidc_refused")


async def test_a_token_that_proves_nothing_logs_nobody_in(browser, database, oidc_provider, grace):
    answers = {}
    for name, lie in LIES.items():
        await oidc_provider.lie(**lie)
        answer = await browser.log_in(grace)
        answers[name] = (answer.status_code, answer.json()["code"])

    assert answers == dict.fromkeys(LIES, (401, "oidc_token_invalid"))
    async with database.transaction() as session:
        assert await session.scalar(select(User.id)) is None
    assert (await browser.log_in(grace)).status_code == 200


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"email_verified": False}, "oidc_email_unverified"),
        ({"email_verified": "false"}, "oidc_email_unverified"),
        ({"email": "grace@example.net"}, "oidc_domain_not_allowed"),
        ({"email": "grace@sub.example.com"}, "oidc_domain_not_allowed"),
        ({"email": "no address"}, "oidc_email_unverified"),
    ],
)
async def test_only_verified_addresses_of_allowed_domains_log_in(browser, oidc_provider, claims, code):
    await oidc_provider.put_user("heidi", **{**GRACE, **claims})

    answer = await browser.log_in("heidi")

    assert (answer.status_code, answer.json()["code"]) == (403, code)


async def test_an_address_that_the_token_leaves_out_is_asked_for(browser, oidc_provider, grace):
    await oidc_provider.lie(without=["email", "email_verified"])

    answer = await browser.log_in(grace)

    assert answer.json()["user"]["email"] == "grace@example.com"


async def test_keys_that_the_provider_changes_are_fetched(browser, oidc_provider, grace):
    before = await browser.log_in(grace)

    await oidc_provider.rotate()

    assert (before.status_code, (await browser.log_in(grace)).status_code) == (200, 200)


async def test_who_says_no_at_the_provider_is_told_so(browser, client):
    answer = await browser.log_in(None)
    state = parse_qs(urlsplit(await browser.begin()).query)["state"][0]
    odd = await client.get(
        CALLBACK, params={"state": state, "error": "x", "error_description": "<b>\n" + "y" * 1000}
    )

    assert (answer.status_code, answer.json()["code"]) == (401, "oidc_refused")
    assert "Example refused the log-in (access_denied" in answer.json()["detail"]
    assert odd.headers["content-type"] == "application/problem+json"
    assert "\n" not in odd.json()["detail"]
    assert len(odd.json()["detail"]) < 300


async def test_a_provider_that_fails_is_a_503(browser, oidc_provider, grace):
    await oidc_provider.lie(status=502)

    answer = await browser.log_in(grace)

    assert (answer.status_code, answer.json()["code"]) == (503, "oidc_unavailable")
    assert answer.headers["retry-after"]


class TestNobodyAnswers:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return msgspec.structs.replace(settings, oidc_issuer="http://127.0.0.1:1")

    async def test_a_provider_that_is_away_is_a_503(self, client):
        answer = await client.get(BEGIN)

        assert (answer.status_code, answer.json()["code"]) == (503, "oidc_unavailable")


class TestHttps:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return msgspec.structs.replace(settings, public_url="https://modelyard.test")

    async def test_by_https_the_cookie_is_of_this_very_host_and_goes_nowhere_else(self, client):
        cookie = (await client.get(BEGIN)).headers["set-cookie"]

        assert cookie.startswith("__Host-modelyard_oidc=")
        assert "Secure" in cookie
        assert "Path=/;" in cookie
        assert "domain" not in cookie.lower()


class TestPublicClient:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return msgspec.structs.replace(settings, oidc_client_id=PUBLIC_CLIENT_ID, oidc_client_secret="")

    async def test_a_client_without_a_secret_logs_people_in(self, browser, grace):
        assert (await browser.log_in(grace)).status_code == 200


class TestWrongSecret:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return msgspec.structs.replace(settings, oidc_client_secret="mistaken")

    async def test_a_secret_that_the_provider_does_not_know_is_the_operators_affair(self, browser, grace):
        answer = await browser.log_in(grace)

        assert (answer.status_code, answer.json()["code"]) == (500, "oidc_misconfigured")


class TestOff:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return msgspec.structs.replace(settings, oidc_issuer="")

    async def test_without_a_provider_there_is_no_such_log_in(self, client, account):
        link = {"link_token": "x" * 43}
        answers = [
            await client.get(BEGIN),
            await client.get(CALLBACK, params={"state": "x"}),
            await client.post(LINK, json=link, headers=account.headers),
        ]

        assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "oidc_off")}


async def test_an_account_that_was_there_is_linked_by_whoever_has_it(browser, client, account, oidc_provider):
    await oidc_provider.put_user("ada", email=account.email, email_verified=True)

    needed = await browser.log_in("ada")
    link = {"link_token": needed.json()["link_token"]}
    linked = await client.post(LINK, json=link, headers=account.headers)
    used = await client.post(LINK, json=link, headers=account.headers)
    logged_in = await browser.log_in("ada")

    assert (needed.status_code, needed.json()["code"]) == (202, "link_needed")
    assert "access_token" not in needed.json()
    assert (linked.status_code, used.status_code) == (204, 401), linked.text
    assert used.json()["code"] == "link_token_invalid"
    assert logged_in.json()["user"]["id"] == str(account.user_id)


async def test_nobody_links_an_identity_with_another_address(
    browser, client, database, account, make_account, oidc_provider
):
    await oidc_provider.put_user("ada2", email=account.email, email_verified=True)
    other = await make_account()

    needed = await browser.log_in("ada2")
    token = needed.json()["link_token"]
    answer = await client.post(LINK, json={"link_token": token}, headers=other.headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "identity_for_another")
    async with database.transaction() as session:
        assert await session.scalar(select(IdentityRow.id)) is None


async def test_who_resets_the_password_by_mail_unlinks_identities_of_before(
    app, browser, database, oidc_provider
):
    await oidc_provider.put_user("mallory", email="mallory@example.com", email_verified=True)
    user_id = (await browser.log_in("mallory")).json()["user"]["id"]
    token = "of the mail to their new address"
    async with database.transaction() as session:
        user = await session.get_one(User, UUID(user_id))
        user.email = "victim@example.com"
        token_hash = sha256(token.encode()).hexdigest()
        session.add(
            PasswordReset(user_id=user.id, token_hash=token_hash, expires_at=utc_now() + timedelta(hours=1))
        )

    client = Client(address="127.0.0.1", user_agent="")
    await app.state.password_resets.confirm(token, new_password="SecureP@ss123", client=client)

    again = await browser.log_in("mallory")
    assert again.status_code == 200
    assert again.json()["user"]["id"] != user_id
