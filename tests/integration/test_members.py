"""The people of an organisation over HTTP: who may do what to whom, and what is left of those who go."""

import asyncio
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import delete, select, update

from api.credentials import Credentials
from shared.access.messages import follow_access
from shared.access.permissions import Role
from shared.access.tables import User
from shared.access.team_tables import MemberRow
from shared.access.tokens import AccessTokens

API = "/api/v1"
HERE = f"{API}/organization"
MEMBERS = f"{HERE}/members"
KEYS = f"{API}/api-keys"
NOBODY = str(uuid4())
OWNER, ADMIN, MEMBER, VIEWER = Role

# Who gets past the role, whatever comes after: no such model, no such member, no body.
EVERYBODY, CHANGERS, ADMINS = {*Role}, {OWNER, ADMIN, MEMBER}, {OWNER, ADMIN}
ROUTES = [
    ("GET", "/models", EVERYBODY),
    ("DELETE", "/models/none", CHANGERS),
    ("GET", "/jobs", EVERYBODY),
    ("POST", "/jobs", CHANGERS),
    ("POST", "/predict/none", CHANGERS),
    ("POST", "/schedules", CHANGERS),
    ("POST", "/uploads", CHANGERS),
    ("GET", "/api-keys", EVERYBODY),
    ("POST", "/api-keys", EVERYBODY),
    ("GET", "/auth/me", EVERYBODY),
    ("POST", "/auth/switch", EVERYBODY),
    ("POST", "/invitations/accept", EVERYBODY),
    ("GET", "/organizations", EVERYBODY),
    ("POST", "/organizations", EVERYBODY),
    ("GET", "/organization", EVERYBODY),
    ("PATCH", "/organization", ADMINS),
    ("POST", "/organization/transfer", ADMINS),  # then only for owners
    ("DELETE", "/organization", {OWNER}),  # then only with its name
    ("GET", "/organization/members", EVERYBODY),
    ("PATCH", f"/organization/members/{NOBODY}", ADMINS),
    ("DELETE", f"/organization/members/{NOBODY}", ADMINS),
    ("GET", "/organization/invitations", ADMINS),
    ("POST", "/organization/invitations", ADMINS),
    ("DELETE", f"/organization/invitations/{NOBODY}", ADMINS),
    ("POST", f"/organization/invitations/{NOBODY}/resend", ADMINS),
]


@pytest.fixture
async def team(account, join):
    """The owner of an organisation, and somebody of every other role in it."""
    return {OWNER: account} | {role: await join(account, role) for role in (ADMIN, MEMBER, VIEWER)}


@pytest.fixture
def roles(client, account):
    """Who is what, by the list."""

    async def ask():
        listed = (await client.get(MEMBERS, headers=account.headers)).json()["items"]
        return {each["user_id"]: each["role"] for each in listed}

    return ask


def code_of(answer):
    return (answer.status_code, answer.json()["code"]) if answer.status_code >= 400 else answer.status_code


async def test_every_role_does_what_it_may_and_no_more(client, team):
    passed = []
    for method, path, _ in ROUTES:
        answers = {
            role: await client.request(method, API + path, headers=who.headers) for role, who in team.items()
        }
        assert {each.status_code for each in answers.values()} & {401, 500, 503} == set(), path
        passed.append({r for r, a in answers.items() if a.status_code != 403})

    assert passed == [expected for *_, expected in ROUTES]


async def test_keys_do_not_administer(client, account):
    secret = (await client.post(KEYS, json={"name": "k"}, headers=account.headers)).json()["secret"]
    guarded = [(m, p) for m, p, _ in ROUTES if "organiz" in p or "invitations" in p or "switch" in p]

    answers = [await client.request(m, API + p, headers={"X-API-Key": secret}) for m, p in guarded]

    assert len(guarded) > 10
    assert {code_of(each) for each in answers} == {(403, "session_needed")}


async def test_a_member_is_given_another_role(client, team, roles):
    answer = await client.patch(
        f"{MEMBERS}/{team[VIEWER].user_id}", json={"role": "member"}, headers=team[ADMIN].headers
    )

    assert (answer.status_code, answer.json()["role"]) == (200, "member")
    assert (await roles())[str(team[VIEWER].user_id)] == "member"


async def test_admins_neither_make_nor_change_nor_remove_owners(client, team, roles):
    before, admin = await roles(), team[ADMIN]

    answers = [
        await client.patch(
            f"{MEMBERS}/{team[MEMBER].user_id}", json={"role": "owner"}, headers=admin.headers
        ),
        await client.patch(f"{MEMBERS}/{admin.user_id}", json={"role": "owner"}, headers=admin.headers),
        await client.patch(
            f"{MEMBERS}/{team[OWNER].user_id}", json={"role": "viewer"}, headers=admin.headers
        ),
        await client.delete(f"{MEMBERS}/{team[OWNER].user_id}", headers=admin.headers),
        await client.post(f"{HERE}/transfer", json={"user_id": str(admin.user_id)}, headers=admin.headers),
    ]

    assert {code_of(each) for each in answers} == {(403, "role_too_low")}
    assert await roles() == before


async def test_the_role_in_the_tables_decides_and_not_the_one_remembered(client, account, team, database):
    lowered, gone = team[ADMIN], team[MEMBER]
    for who in (lowered, gone):
        assert (await client.get(HERE, headers=who.headers)).status_code == 200
    async with database.transaction() as session:  # so that nobody is told
        ours = MemberRow.tenant_id == account.tenant_id
        await session.execute(
            update(MemberRow).where(ours, MemberRow.user_id == lowered.user_id).values(role=VIEWER)
        )
        await session.execute(delete(MemberRow).where(ours, MemberRow.user_id == gone.user_id))

    raised = await client.patch(
        f"{MEMBERS}/{lowered.user_id}", json={"role": "admin"}, headers=lowered.headers
    )
    answers = [
        await client.get(MEMBERS, headers=gone.headers),
        await client.get(HERE, headers=gone.headers),
    ]

    assert code_of(raised) == (403, "role_too_low")
    # The second, where so long passed that they were looked up again.
    assert {code_of(each) for each in answers} <= {(403, "not_a_member"), (401, "session_ended")}


async def test_whoever_was_removed_is_let_in_with_no_token_of_before(client, account, team):
    gone = team[MEMBER]
    assert (await client.get(HERE, headers=gone.headers)).status_code == 200

    await client.delete(f"{MEMBERS}/{gone.user_id}", headers=account.headers)
    answers = [await client.get(path, headers=gone.headers) for path in (HERE, MEMBERS, f"{API}/models")]

    assert {code_of(each) for each in answers} == {(401, "session_ended")}


async def test_the_last_owner_stays(client, account, team, roles):  # noqa: ARG001  others are there
    answers = [
        await client.post(f"{HERE}/leave", headers=account.headers),
        await client.delete(f"{MEMBERS}/{account.user_id}", headers=account.headers),
        await client.patch(f"{MEMBERS}/{account.user_id}", json={"role": "member"}, headers=account.headers),
    ]

    assert {code_of(each) for each in answers} == {(409, "last_owner")}
    assert (await roles())[str(account.user_id)] == "owner"


async def test_of_two_owners_who_go_at_once_one_stays(client, make_account, join, database):
    def leave(me, _):
        return client.post(f"{HERE}/leave", headers=me.headers)

    def step_down(me, _):
        return client.patch(f"{MEMBERS}/{me.user_id}", json={"role": "admin"}, headers=me.headers)

    def remove(me, them):
        return client.delete(f"{MEMBERS}/{them.user_id}", headers=me.headers)

    for go in (leave, step_down, remove):
        one = await make_account()
        other = await join(one, OWNER)

        answers = await asyncio.gather(go(one, other), go(other, one))

        assert sorted(each.status_code < 300 for each in answers) == [False, True], go
        query = select(MemberRow).where(MemberRow.tenant_id == one.tenant_id, MemberRow.role == OWNER)
        async with database.transaction() as session:
            assert len((await session.scalars(query)).all()) == 1, go


async def test_an_owner_hands_the_organisation_over_to_another_member(client, team, stranger, roles):
    def hand_to(who):
        body = {"user_id": str(who.user_id)}
        return client.post(f"{HERE}/transfer", json=body, headers=team[OWNER].headers)

    refused = [await hand_to(who) for who in (stranger, team[OWNER])]
    done = await hand_to(team[VIEWER])

    assert [code_of(each) for each in refused] == [(404, "member_not_found"), (422, "invalid_input")]
    assert (done.status_code, done.json()["role"]) == (200, "owner")
    assert (await roles())[str(team[OWNER].user_id)] == "admin"


async def test_members_of_another_organisation_are_not_there(client, account, stranger, team):
    answers = [
        await client.patch(
            f"{MEMBERS}/{team[VIEWER].user_id}", json={"role": "admin"}, headers=stranger.headers
        ),
        await client.delete(f"{MEMBERS}/{account.user_id}", headers=stranger.headers),
        await client.delete(f"{MEMBERS}/nonsense", headers=stranger.headers),
    ]
    listed = (await client.get(MEMBERS, headers=stranger.headers)).json()["items"]

    assert {code_of(each) for each in answers} == {(404, "member_not_found")}
    assert [each["user_id"] for each in listed] == [str(stranger.user_id)]


async def test_the_list_of_members_goes_on_where_the_page_before_ended(client, account, team):
    first = (await client.get(MEMBERS, params={"limit": 3}, headers=team[VIEWER].headers)).json()
    query = {"cursor": first["next_cursor"]}
    rest = (await client.get(MEMBERS, params=query, headers=team[VIEWER].headers)).json()

    seen = [each["user_id"] for page in (first, rest) for each in page["items"]]
    assert seen == sorted(str(each.user_id) for each in team.values())
    assert rest["next_cursor"] is None
    assert next(each["email"] for each in first["items"] if each["role"] == "owner") == account.email


async def test_the_key_of_somebody_who_was_removed_is_dead_and_gone(client, account, team):
    member = team[MEMBER]
    made = (await client.post(KEYS, json={"name": "k"}, headers=member.headers)).json()
    headers = {"X-API-Key": made["secret"]}
    assert (await client.get(f"{API}/auth/me", headers=headers)).status_code == 200

    removed = await client.delete(f"{MEMBERS}/{member.user_id}", headers=account.headers)

    assert removed.status_code == 204
    assert code_of(await client.get(f"{API}/auth/me", headers=headers)) == (401, "invalid_api_key")
    assert (await client.get(KEYS, headers=account.headers)).json()["items"] == []
    acts = await client.get(f"{API}/audit-log?action=member.remove", headers=account.headers)
    assert [act["after"] for act in acts.json()["items"]] == [{"revoked_api_keys": [made["id"]]}]


async def test_a_role_that_was_lowered_reaches_keys_in_other_processes(
    client, account, team, settings, database, redis
):
    # Without the message the key would go on as before for another hour.
    hour = msgspec.structs.replace(settings, credential_ttl_s=3600)
    elsewhere = Credentials(hour, database, AccessTokens(settings.secret_key, ttl_s=900))
    news = follow_access(redis, elsewhere)
    news.start()
    made = (await client.post(KEYS, json={"name": "k"}, headers=team[MEMBER].headers)).json()
    key = made["secret"].encode()
    before = await elsewhere.verify(key)

    body = {"role": "viewer"}
    await client.patch(f"{MEMBERS}/{team[MEMBER].user_id}", json=body, headers=account.headers)

    async with asyncio.timeout(30):
        while elsewhere.known(key) == before:
            await asyncio.sleep(0.01)
    assert (before.role, (await elsewhere.verify(key)).role) == (MEMBER, VIEWER)
    await news.close()


async def test_members_see_and_revoke_their_own_keys_and_admins_all(client, team):
    made = {
        role: (await client.post(KEYS, json={"name": role}, headers=who.headers)).json()["id"]
        for role, who in team.items()
    }

    seen = {
        role: {each["name"] for each in (await client.get(KEYS, headers=who.headers)).json()["items"]}
        for role, who in team.items()
    }
    others = await client.delete(f"{KEYS}/{made[OWNER]}", headers=team[MEMBER].headers)
    own = await client.delete(f"{KEYS}/{made[VIEWER]}", headers=team[VIEWER].headers)
    any_ones = await client.delete(f"{KEYS}/{made[MEMBER]}", headers=team[ADMIN].headers)

    assert seen == {OWNER: {*Role}, ADMIN: {*Role}, MEMBER: {MEMBER}, VIEWER: {VIEWER}}
    assert code_of(others) == (404, "api_key_not_found")
    assert (own.status_code, any_ones.status_code) == (204, 204)


async def test_whoever_goes_from_their_home_has_another_or_a_new_one(client, account, join, database):
    async def home_of(who):
        async with database.transaction() as session:
            home = (await session.get_one(User, who.user_id)).tenant_id
            return home, (await session.get_one(MemberRow, (home, who.user_id))).role

    other = await join(account, OWNER)
    (own, _), (first, _) = await home_of(other), await home_of(account)
    async with database.transaction() as session:
        await session.execute(update(User).where(User.id == other.user_id).values(tenant_id=first))

    await client.delete(f"{MEMBERS}/{account.user_id}", headers=other.headers)
    await join(msgspec.structs.replace(other, tenant_id=first), OWNER)
    await client.post(f"{HERE}/leave", headers=other.headers)

    assert await home_of(other) == (own, "owner")
    made, role = await home_of(account)
    assert (made not in {own, first}, role) == (True, "owner")
