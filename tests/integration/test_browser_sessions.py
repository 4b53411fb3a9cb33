"""Browsers log in by cookies, and other sites' pages can do nothing with these."""

import asyncio

from sqlalchemy import select

from shared.access.session_tables import SessionRow
from shared.audit.tables import AuditRow
from tests.fixtures.browsers import OWN

AUTH = "/api/v1/auth"
ORGANIZATIONS = "/api/v1/organizations"
PREDICT = "/api/v1/predict/nothing"
ADA = {"email": "ada@example.com", "password": "SecureP@ss123"}


def code_of(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def attributes(answer) -> dict[str, set[str]]:
    """Of each cookie that the answer sets, without its value."""
    set_cookies = [header.split("; ") for header in answer.headers.get_list("Set-Cookie")]
    return {first.partition("=")[0]: set(rest) for first, *rest in set_cookies}


async def test_a_browser_logs_in_stays_so_and_logs_out_and_no_script_sees_a_token(production):
    await production.post(f"{AUTH}/register", json=ADA)

    begun = await production.post(f"{AUTH}/login", json=ADA | {"cookies": True})

    assert begun.status_code == 200, begun.text
    csrf = {"X-CSRF-Token": begun.json()["csrf_token"]}
    assert set(begun.json()) == {"csrf_token", "expires_in", "user"}
    assert attributes(begun) == {
        "__Host-modelyard_session": {"HttpOnly", "Max-Age=900", "Path=/", "SameSite=lax", "Secure"},
        "__Secure-modelyard_refresh": {
            "HttpOnly",
            "Max-Age=2592000",
            "Path=/api/v1/auth",
            "SameSite=strict",
            "Secure",
        },
        "__Host-modelyard_csrf": {"Max-Age=2592000", "Path=/", "SameSite=strict", "Secure"},
    }
    assert (await production.get(f"{AUTH}/me")).json()["email"] == ADA["email"]
    assert (await production.post(ORGANIZATIONS, json={"name": "One"})).status_code == 403
    assert (await production.post(ORGANIZATIONS, json={"name": "One"}, headers=csrf)).status_code == 201
    assert code_of(await production.post(PREDICT, json={"input": [1]}, headers=csrf)) == (
        404,
        "model_not_found",
    )

    before = dict(production.cookies)
    renewed = await production.post(f"{AUTH}/refresh", json={}, headers=csrf)

    assert renewed.status_code == 200, renewed.text
    assert len(attributes(renewed)) == 3
    assert before["__Secure-modelyard_refresh"] not in production.cookies.values()
    assert before["__Secure-modelyard_refresh"] not in renewed.text
    assert (await production.get(f"{AUTH}/me")).status_code == 200

    session = {"Cookie": f"__Host-modelyard_session={production.cookies['__Host-modelyard_session']}"}
    ended = await production.post(f"{AUTH}/logout", json={}, headers=csrf)

    assert ended.status_code == 204
    assert all("Max-Age=0" in each for each in attributes(ended).values())
    assert not production.cookies
    gone = await production.get(f"{AUTH}/me", headers=session)
    assert code_of(gone) == (401, "session_ended")
    assert "Max-Age=0" in attributes(gone)["__Host-modelyard_session"]


FORGED = {
    "another site's page": (
        {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"},
        "cross_origin",
    ),
    "a page of a sibling": (
        {"Sec_Fetch_Site": "same-site", "Origin": "http://x.modelyard.test"},
        "cross_origin",
    ),
    "a browser that tells the site alone": ({"Sec_Fetch_Site": "cross-site", "Origin": None}, "cross_origin"),
    "a browser that tells the origin alone": (
        {"Sec_Fetch_Site": None, "Origin": "https://evil.example"},
        "cross_origin",
    ),
    "another port": ({"Sec_Fetch_Site": None, "Origin": "http://modelyard.test:9000"}, "cross_origin"),
    "another scheme": ({"Sec_Fetch_Site": None, "Origin": "https://modelyard.test"}, "cross_origin"),
    "a hidden origin": ({"Sec_Fetch_Site": None, "Origin": "null"}, "cross_origin"),
    "a frame without an origin": ({"Sec_Fetch_Site": "cross-site", "Origin": "null"}, "cross_origin"),
    "nobody says": ({"Sec_Fetch_Site": None, "Origin": None}, "cross_origin"),
    "no token": ({"X_CSRF_Token": None}, "csrf_token_invalid"),
    "an empty token": ({"X_CSRF_Token": ""}, "csrf_token_invalid"),
    "a token made up": ({"X_CSRF_Token": "salt." + "0" * 64}, "csrf_token_invalid"),
    "a token without end": ({"X_CSRF_Token": "x" * 9000}, "csrf_token_invalid"),
}


async def test_a_forged_change_is_refused_and_has_no_effect(client, visitor):
    for name, (changed, code) in FORGED.items():
        headers = visitor.sends(**changed)

        answers = [
            await client.post(ORGANIZATIONS, json={"name": "Forged"}, headers=headers),
            await client.post(PREDICT, json={"input": [1]}, headers=headers),
            await client.post(PREDICT, json={"input": [1]}, headers=headers | {"Prefer": "respond-async"}),
            await client.post(f"{AUTH}/refresh", json={}, headers=headers),
            await client.post(f"{AUTH}/logout", json={}, headers=headers),
            await client.post(f"{AUTH}/logout-everywhere", headers=headers),
        ]

        assert [code_of(answer) for answer in answers] == [(403, code)] * len(answers), name
        assert not any("Set-Cookie" in answer.headers for answer in answers)
    theirs = await client.get(ORGANIZATIONS, headers=visitor.sends())
    assert [each["name"] for each in theirs.json()["items"]] == ["Ada Tester"]
    assert (await client.post(f"{AUTH}/refresh", json={}, headers=visitor.sends())).status_code == 200


async def test_another_sessions_token_does_not_do(client, visitor, log_in, *, account, stranger):
    for other in (await log_in(account), await log_in(stranger)):
        headers = visitor.sends(X_CSRF_Token=other.csrf_token)

        answers = [
            await client.post(ORGANIZATIONS, json={"name": "Forged"}, headers=headers),
            await client.post(f"{AUTH}/logout", json={}, headers=headers),
        ]

        assert [code_of(answer) for answer in answers] == [(403, "csrf_token_invalid")] * 2


async def test_a_page_of_ours_does_what_its_user_may(client, visitor):
    for changed in (
        {},
        {"Origin": None},
        {"Sec_Fetch_Site": None},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "null"},  # by `Referrer-Policy: no-referrer`
        {"Sec_Fetch_Site": None, "Origin": "http://localhost:8000"},  # PUBLIC_URL, behind a proxy
    ):
        headers = visitor.sends(**changed)

        assert (await client.post(ORGANIZATIONS, json={"name": "Two"}, headers=headers)).status_code == 201
        assert (await client.post(PREDICT, json={"input": [1]}, headers=headers)).status_code == 404


async def test_the_token_of_a_session_is_told_to_its_pages(client, visitor, account):
    told = await client.get(f"{AUTH}/csrf", headers={"Cookie": visitor.cookie})
    headers = visitor.sends(X_CSRF_Token=told.json()["csrf_token"])

    assert (await client.post(ORGANIZATIONS, json={"name": "Two"}, headers=headers)).status_code == 201
    assert (await client.get(f"{AUTH}/csrf", headers=account.headers)).status_code == 200


async def test_reading_takes_no_token_and_is_not_for_other_sites_scripts(client, visitor):
    cookie = {"Cookie": visitor.cookie}
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    script = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Origin": "http://x.modelyard.test"}
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}

    for further in ({}, OWN, link):
        assert (await client.get(f"{AUTH}/me", headers=cookie | further)).status_code == 200
    for further in (script, image, {"Origin": "null"}):
        answer = await client.get(f"{AUTH}/me", headers=cookie | further)
        assert code_of(answer) == (403, "cross_origin")


async def test_a_token_in_a_header_goes_before_a_cookie_and_needs_no_other(
    client, account, log_in, *, stranger
):
    theirs = await log_in(stranger)
    headers = account.headers | {"Cookie": theirs.cookie, "Origin": "https://evil.example"}

    me = await client.get(f"{AUTH}/me", headers=headers)
    made = await client.post(ORGANIZATIONS, json={"name": "Two"}, headers=headers)
    empty = await client.get(f"{AUTH}/me", headers={"Cookie": theirs.cookie, "X-API-Key": ""})

    assert me.json()["email"] == account.email
    assert made.status_code == 201
    assert empty.status_code == 401


async def test_a_cookie_holds_a_session_and_once(client, account, visitor):
    made = await client.post("/api/v1/api-keys", json={"name": "key"}, headers=account.headers)
    for cookie in (
        f"modelyard_session={made.json()['secret']}",
        f"{visitor.cookie}; modelyard_session=other",
        f"__Host-{visitor.cookie}",
        f"modelyard_session={visitor.refresh_token}",
        "modelyard_session=",
        "modelyard_session",
    ):
        headers = visitor.sends(Cookie=cookie)

        answers = [
            await client.get(f"{AUTH}/me", headers=headers),
            await client.post(PREDICT, json={"input": [1]}, headers=headers),
        ]

        assert [answer.status_code for answer in answers] == [401, 401], cookie


async def test_a_refresh_cookie_used_twice_ends_the_session(client, visitor):
    renewed = await client.post(f"{AUTH}/refresh", json={}, headers=visitor.sends())
    newest = {"Cookie": "; ".join(h.partition(";")[0] for h in renewed.headers.get_list("Set-Cookie"))}
    assert (await client.get(f"{AUTH}/me", headers=newest)).status_code == 200

    again = await client.post(f"{AUTH}/refresh", json={}, headers=visitor.sends())

    assert code_of(again) == (401, "invalid_refresh_token")
    assert "Max-Age=0" in attributes(again)["modelyard_refresh"]
    assert code_of(await client.get(f"{AUTH}/me", headers=newest)) == (401, "session_ended")


async def test_another_sites_page_logs_nobody_in(client, database):
    for headers in (
        {},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://x.modelyard.test"},
    ):
        answer = await client.post(f"{AUTH}/login", json=ADA | {"cookies": True}, headers=headers)

        assert code_of(answer) == (403, "cross_origin")
    async with database.transaction() as session:
        assert list(await session.scalars(select(SessionRow.id))) == []


async def test_logging_out_everywhere_takes_the_cookies_back(client, visitor, account):
    answer = await client.post(f"{AUTH}/logout-everywhere", headers=visitor.sends())

    assert answer.status_code == 204
    assert len(attributes(answer)) == 3
    assert (await client.get(f"{AUTH}/me", headers=account.headers)).status_code == 401


async def test_a_browser_goes_on_in_another_organisation(client, visitor):
    headers = visitor.sends()
    made = await client.post(ORGANIZATIONS, json={"name": "Two"}, headers=headers)

    answer = await client.post(f"{AUTH}/switch", json={"organization": made.json()["id"]}, headers=headers)

    assert answer.json()["user"]["tenant_id"] == made.json()["id"]
    assert len(attributes(answer)) == 3
    assert "access_token" not in answer.text


async def test_what_is_refused_is_written_down(client, visitor, database):
    for _ in range(2):
        await client.post(PREDICT, json={}, headers=visitor.sends(Origin="https://evil.example"))

    async with asyncio.timeout(5):
        while len(written := await acts(database)) < 2:
            await asyncio.sleep(0.02)
    assert {(act.action, act.actor_type, act.address) for act in written} == {
        ("auth.request_refused", "anonymous", "127.0.0.1")
    }


async def acts(database):
    async with database.transaction() as session:
        return list(await session.scalars(select(AuditRow)))
