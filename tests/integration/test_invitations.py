"""Invitations over HTTP: who may send them, and who comes in by them."""

import asyncio
import re
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import select, text, update

from shared.access.caller import Caller
from shared.access.invitations import Invitations, TooManyInvitations
from shared.access.permissions import Role
from shared.access.team_tables import InvitationRow, MemberRow
from shared.clock import utc_now
from shared.mail.tables import MailRow

API = "/api/v1"
INVITATIONS = f"{API}/organization/invitations"
MEMBERS = f"{API}/organization/members"
OWNER, ADMIN, MEMBER, VIEWER = Role
NEW = "new.colleague@example.com"


@pytest.fixture
def mails(database):
    """The mails to an address, the oldest first."""

    async def find(to):
        async with database.transaction() as session:
            return list(await session.scalars(select(MailRow).where(MailRow.to == to).order_by(MailRow.id)))

    return find


@pytest.fixture
def invite(client, account, mails):
    """Invites somebody; gives the answer's body, with the token that was in the mail."""

    async def send(email, role=MEMBER, by=account):
        answer = await client.post(INVITATIONS, json={"email": email, "role": role}, headers=by.headers)
        assert answer.status_code == 201, answer.text
        return {**answer.json(), "token": token_in((await mails(email.lower()))[-1])}

    return send


@pytest.fixture
def age(database):
    """Makes every invitation older."""

    async def by(duration):
        async with database.transaction() as session:
            earlier = {
                "sent_at": InvitationRow.sent_at - duration,
                "expires_at": InvitationRow.expires_at - duration,
            }
            await session.execute(update(InvitationRow).values(**earlier))

    return by


@pytest.fixture
def accept(client):
    async def send(who, token):
        answer = await client.post(f"{API}/invitations/accept", json={"token": token}, headers=who.headers)
        return (answer.status_code, answer.json().get("code") or answer.json()["role"])

    return send


def token_in(mail):
    return re.search(r'"token": "([^"]+)"', mail.text)[1]


def code_of(answer):
    return (answer.status_code, answer.json()["code"])


VOID = (404, "invitation_not_found")


async def test_an_invitation_is_mailed_and_its_token_kept_nowhere_else(
    client, account, invite, mails, database
):
    sent = await invite("New.Colleague@Example.com", VIEWER)

    (mail,) = await mails(NEW)
    assert mail.subject == "You are invited to Ada Tester on Modelyard"
    assert "within 7 days" in mail.text
    assert "as viewer" in mail.text
    listed = (await client.get(INVITATIONS, headers=account.headers)).json()["items"]
    assert listed == [{name: value for name, value in sent.items() if name != "token"}]
    assert (listed[0]["email"], listed[0]["role"]) == (NEW, "viewer")
    async with database.transaction() as session:
        row = (await session.execute(text("SELECT * FROM invitations"))).one()
    assert not any(sent["token"] in str(value) for value in row)


async def test_whoever_was_invited_joins_once(client, stranger, invite, accept, database, account):
    token = (await invite(stranger.email, VIEWER))["token"]

    answers = await asyncio.gather(*(accept(stranger, token) for _ in range(3)))

    assert sorted(answers) == [(200, "viewer"), VOID, VOID]
    async with database.transaction() as session:
        joined = await session.get_one(MemberRow, (account.tenant_id, stranger.user_id))
    assert joined.role == "viewer"
    assert await accept(stranger, token) == VOID
    assert (await client.get(INVITATIONS, headers=account.headers)).json()["items"] == []


async def test_an_invitation_lets_nobody_else_in(invite, accept, stranger, account):
    token = (await invite(NEW))["token"]

    assert await accept(stranger, token) == (403, "invitation_for_another")
    assert await accept(account, token) == (403, "invitation_for_another")
    assert await accept(stranger, "x" * 43) == VOID
    assert await accept(stranger, "") == VOID


async def test_an_invitation_ends_after_seven_days(client, account, stranger, invite, accept, age):
    sent = await invite(stranger.email)
    await age(timedelta(days=7))

    assert await accept(stranger, sent["token"]) == VOID
    again = await client.post(f"{INVITATIONS}/{sent['id']}/resend", headers=account.headers)
    assert again.status_code == 200


async def test_a_revoked_invitation_is_void(client, account, stranger, invite, accept, age):
    sent = await invite(stranger.email)

    revoked = await client.delete(f"{INVITATIONS}/{sent['id']}", headers=account.headers)

    assert revoked.status_code == 204
    assert await accept(stranger, sent["token"]) == VOID
    assert (await client.get(INVITATIONS, headers=account.headers)).json()["items"] == []
    twice = await client.delete(f"{INVITATIONS}/{sent['id']}", headers=account.headers)
    assert code_of(twice) == VOID
    at_once = await client.post(INVITATIONS, json={"email": stranger.email}, headers=account.headers)
    assert code_of(at_once) == (429, "invitation_just_sent")
    await age(timedelta(minutes=1))
    assert await accept(stranger, (await invite(stranger.email, ADMIN))["token"]) == (200, "admin")


async def test_sending_again_makes_the_first_token_void(
    client, account, stranger, invite, accept, age, mails
):
    sent = await invite(stranger.email)
    resend = f"{INVITATIONS}/{sent['id']}/resend"

    at_once = await client.post(resend, headers=account.headers)
    await age(timedelta(minutes=1))
    later = await client.post(resend, headers=account.headers)

    assert code_of(at_once) == (429, "invitation_just_sent")
    assert 1 <= int(at_once.headers["Retry-After"]) <= 60
    assert later.status_code == 200
    assert await accept(stranger, sent["token"]) == VOID
    assert await accept(stranger, token_in((await mails(stranger.email))[-1])) == (200, "member")


async def test_nobody_invites_above_themselves_or_whoever_is_there(client, account, join, invite):
    admin = await join(account, ADMIN)
    await invite(NEW)

    answers = [
        await client.post(INVITATIONS, json={"email": email, "role": role}, headers=admin.headers)
        for email, role in [("a@example.com", "owner"), (account.email.upper(), "member"), (NEW, "viewer")]
    ]
    unfit = [
        await client.post(INVITATIONS, json=body, headers=admin.headers)
        for body in ({"email": "nobody"}, {"email": NEW, "role": "king"}, {"role": "member"})
    ]

    assert [code_of(each) for each in answers] == [
        (403, "role_too_low"),
        (409, "already_member"),
        (409, "already_invited"),
    ]
    assert {code_of(each) for each in unfit} == {(422, "invalid_input")}


async def test_an_invitation_goes_with_the_right_to_send_it(client, account, join, stranger, invite, accept):
    admin = await join(account, ADMIN)
    token = (await invite(stranger.email, ADMIN, by=admin))["token"]

    await client.patch(f"{MEMBERS}/{admin.user_id}", json={"role": "member"}, headers=account.headers)
    lowered = await accept(stranger, token)
    await client.delete(f"{MEMBERS}/{admin.user_id}", headers=account.headers)

    assert (lowered, await accept(stranger, token)) == (VOID, VOID)


async def test_another_organisations_invitations_are_not_there(client, stranger, invite):
    sent = await invite(NEW)
    one = f"{INVITATIONS}/{sent['id']}"

    answers = [
        await client.delete(one, headers=stranger.headers),
        await client.post(f"{one}/resend", headers=stranger.headers),
        await client.delete(f"{INVITATIONS}/nonsense", headers=stranger.headers),
    ]

    assert {code_of(each) for each in answers} == {VOID}
    assert (await client.get(INVITATIONS, headers=stranger.headers)).json()["items"] == []


async def test_so_many_invitations_wait_and_no_more_even_at_once(settings, database, account):
    few = msgspec.structs.replace(settings, max_invitations=3)
    invitations = Invitations(few, database)
    caller = Caller(user_id=account.user_id, tenant_id=account.tenant_id)

    async def invite():
        return await invitations.create(caller, email=f"{uuid4().hex}@example.com", role=MEMBER)

    made = await asyncio.gather(*(invite() for _ in range(5)), return_exceptions=True)
    sent = [each for each in made if not isinstance(each, Exception)]
    await invitations.revoke(caller, str(sent[0].id))

    assert sum(isinstance(each, TooManyInvitations) for each in made) == 2
    with pytest.raises(TooManyInvitations):  # or revoking would let through mails without end
        await invite()
    async with database.transaction() as session:
        await session.execute(update(InvitationRow).values(sent_at=utc_now() - timedelta(days=1, seconds=1)))
    await invite()


async def test_whoever_registers_with_an_invitation_logs_in_to_it(client, account, invite):
    token = (await invite(NEW, ADMIN))["token"]
    new = {"email": NEW, "password": "SecureP@ss123", "invitation": token}

    other = await client.post(f"{API}/auth/register", json={**new, "email": "eve@example.com"})
    registered = await client.post(f"{API}/auth/register", json=new)
    eve = await client.post(f"{API}/auth/register", json={**new, "email": "eve@example.com"})
    logged_in = (
        await client.post(f"{API}/auth/login", json={"email": NEW, "password": new["password"]})
    ).json()

    assert (code_of(other), code_of(eve)) == ((403, "invitation_for_another"), VOID)
    assert registered.status_code == 201
    assert logged_in["user"]["tenant_id"] == registered.json()["tenant_id"] == str(account.tenant_id)
    headers = {"Authorization": f"Bearer {logged_in['access_token']}"}
    mine = (await client.get(f"{API}/auth/me", headers=headers)).json()["organizations"]
    assert {each["name"]: each["role"] for each in mine} == {"Ada Tester": "admin", NEW: "owner"}
