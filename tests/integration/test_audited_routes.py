"""Every operation that changes something leaves an act in the audit log, or says here why not."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
import msgspec
import pytest
from httpx import AsyncClient, Response
from sqlalchemy import func, select, update

from shared.access.homes import add_member
from shared.access.permissions import Role
from shared.access.reset_tables import PasswordReset
from shared.access.tables import User
from shared.access.team_tables import InvitationRow
from shared.audit.tables import AuditRow
from shared.database.engine import Database
from shared.jobs.tables import JobRow
from tests.fixtures.api import Account, Judge
from tests.fixtures.teams import Acting, mailed_token
from tests.fixtures.webhooks import Postman, Receiver

CHANGING = {"post", "put", "patch", "delete"}

# Why they leave none.
EXCEPT = {
    "POST /api/v1/auth/refresh": "continues a log-in that is written down",
    "POST /api/v1/auth/password-reset": "by anybody, and does the same where there is no such account",
    "POST /api/v1/auth/oidc/link": "takes a provider: test_oidc.py sees that it is written down",
    "POST /api/v1/predict/{model}": "changes nothing; analytics count it. `respond-async` leaves job.create",
}

ROWS = {"rows": [[5.1, 3.5]]}
PASSWORD = "SecureP@ss123"
ACCOUNT = {"email": "ada@example.com", "password": PASSWORD}


class Owner:
    """Does one thing after the other, and remembers what each answered by its operation."""

    def __init__(self, client: AsyncClient, database: Database) -> None:
        self._client, self._database = client, database
        self._headers: dict[str, str] = {}
        self.refresh_token, self.tenant_id = "", UUID(int=0)
        self.done: dict[str, list[str]] = {}  # the actions that each operation left

    async def does(self, operation: str, path: str | None = None, **request: Any) -> Response:
        """Send a request, which must succeed; the actions it has left are in `done`."""
        method, _, template = operation.partition(" ")
        before = await self._acts()
        headers = self._headers | request.pop("headers", {})
        url = f"/api/v1{path or template}"
        answer = await self._client.request(method, url, headers=headers, **request)
        assert answer.status_code < 300, (operation, answer.text)
        acts = {act: action for act, action in (await self._acts()).items() if act not in before}
        self.done.setdefault(f"{method} /api/v1{template}", []).extend(acts.values())
        return answer

    async def sees(self, path: str) -> Any:
        return (await self._client.get(f"/api/v1{path}", headers=self._headers)).json()

    def logs_in(self, tokens: dict[str, Any]) -> None:
        token, self.refresh_token = tokens["access_token"], tokens["refresh_token"]
        self._headers = {"Authorization": f"Bearer {token}"}
        self.tenant_id = UUID(tokens["user"]["tenant_id"])

    async def ends_jobs(self) -> None:
        async with self._database.transaction() as session:
            await session.execute(
                update(JobRow).where(JobRow.ended_at.is_(None)).values(status="failed", ended_at=func.now())
            )

    async def forgot_password(self) -> str:
        """A token as it is mailed to them."""
        token_hash = hashlib.sha256(b"token").hexdigest()
        async with self._database.transaction() as session:
            user_id = (await session.scalars(select(User.id).where(User.email == ACCOUNT["email"]))).one()
            soon = func.now() + timedelta(hours=1)
            session.add(PasswordReset(user_id=user_id, token_hash=token_hash, expires_at=soon))
        return "token"

    async def reads_mail(self, to: str) -> str:
        """The token in the newest mail to them; another may be mailed at once."""
        sent_at = InvitationRow.sent_at - timedelta(hours=1)
        async with self._database.transaction() as session:
            await session.execute(update(InvitationRow).values(sent_at=sent_at))
        return await mailed_token(self._database, to)

    async def takes_in(self, who: Account, role: Role) -> None:
        async with self._database.transaction() as session:
            await add_member(session, tenant_id=self.tenant_id, user_id=who.user_id, role=role)

    async def log(self) -> str:
        """All that is written down."""
        async with self._database.transaction() as session:
            return repr((await session.execute(select(*AuditRow.__table__.columns))).all())

    async def _acts(self) -> dict[UUID, str]:
        async with self._database.transaction() as session:
            rows = (await session.execute(select(AuditRow.id, AuditRow.action))).all()
        return {row.id: row.action for row in rows}


@pytest.fixture
def owner(client: AsyncClient, database: Database) -> Owner:
    return Owner(client, database)


async def test_every_operation_that_changes_something_is_written_down(
    client, owner, judge, stranger, acting, receiver, postman
):
    await keys_and_account(owner)
    await models(owner, judge)
    await jobs(owner)
    await schedules(owner)
    await uploads(owner)
    await models_gone(owner)
    secrets = [await webhooks(owner, receiver, postman)]
    secrets.append(await members(owner, stranger, acting))
    await organizations(owner)
    await own_account(owner)
    await owner.does("POST /auth/logout", json={"refresh_token": owner.refresh_token})

    document = (await client.get("/openapi.json")).json()
    operations = {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item.keys() & CHANGING
    }
    assert operations - EXCEPT.keys() == owner.done.keys(), "do it here, or say in EXCEPT why it leaves none"
    assert {operation: acts for operation, acts in owner.done.items() if not acts} == {}
    assert EXCEPT.keys() <= operations
    assert [secret for secret in secrets if secret in await owner.log()] == []
    assert owner.done["POST /api/v1/models/{model}/rollback"] == ["model.roll_back"]


async def keys_and_account(owner: Owner) -> None:
    await owner.does("POST /auth/register", json=ACCOUNT)
    tokens = (await owner.does("POST /auth/login", json=ACCOUNT)).json()
    owner.logs_in(tokens)
    session = jwt.decode(tokens["access_token"], options={"verify_signature": False})["sid"]
    await owner.does("DELETE /auth/sessions/{session}", f"/auth/sessions/{session}")
    owner.logs_in((await owner.does("POST /auth/login", json=ACCOUNT)).json())
    key = (await owner.does("POST /api-keys", json={"name": "ci"})).json()
    path = f"/api-keys/{key['id']}"
    await owner.does("PATCH /api-keys/{key}", path, json={"name": "cd"})
    await owner.does("POST /api-keys/{key}/rotate", f"{path}/rotate")
    await owner.does("DELETE /api-keys/{key}", path)


async def own_account(owner: Owner) -> None:
    await owner.does("PATCH /auth/me", json={"full_name": "Ada King"})
    same = {"old_password": PASSWORD, "new_password": PASSWORD}
    await owner.does("POST /auth/password", json=same)
    reset = {"token": await owner.forgot_password(), "new_password": PASSWORD}
    await owner.does("POST /auth/password-reset/confirm", json=reset)
    owner.logs_in((await owner.does("POST /auth/login", json=ACCOUNT)).json())
    await owner.does("POST /auth/logout-everywhere")
    owner.logs_in((await owner.does("POST /auth/login", json=ACCOUNT)).json())


async def models(owner: Owner, judge: Judge) -> None:
    now = {"Prefer": "wait=0"}
    files, named = {"file": ("m.pkl", b"a model")}, {"name": "iris"}
    first = await owner.does("POST /models/upload", files=files, data=named, headers=now)
    await judge(first.json()["version"]["id"])
    path = "/models/iris"
    put = await owner.does("PUT /models/{model}/versions", f"{path}/versions", content=b"b", headers=now)
    await judge(put.json()["version"]["id"])
    await owner.does("PATCH /models/{model}", path, json={"description": "of flowers"})
    promote = "POST /models/{model}/versions/{number}/promote"
    await owner.does(promote, f"{path}/versions/1/promote", headers=now)
    await owner.does("POST /models/{model}/rollback", f"{path}/rollback", headers=now)


async def models_gone(owner: Owner) -> None:
    await owner.ends_jobs()
    await owner.does("DELETE /models/{model}/versions/{number}", "/models/iris/versions/1")
    await owner.does("DELETE /models/{model}", "/models/iris")


async def jobs(owner: Owner) -> None:
    asked = {"model": "iris", "input": ROWS}
    job = (await owner.does("POST /jobs", json=asked)).json()["id"]
    await owner.does("PUT /jobs/{job}", f"/jobs/{UUID(int=7)}", json=asked)
    await owner.does("POST /jobs/{job}/cancel", f"/jobs/{job}/cancel")
    await owner.does("POST /jobs/{job}/retry", f"/jobs/{job}/retry")
    await owner.ends_jobs()
    await owner.does("DELETE /jobs/{job}", f"/jobs/{job}")


async def schedules(owner: Owner) -> None:
    asked = {"name": "nightly", "cron": "0 3 * * *", "job": {"model": "iris", "input": ROWS}}
    path = "/schedules/nightly"
    await owner.does("POST /schedules", json=asked)
    await owner.does("PATCH /schedules/{schedule}", path, json={"enabled": False})
    await owner.does("POST /schedules/{schedule}/run", f"{path}/run")
    await owner.does("DELETE /schedules/{schedule}", path)


async def uploads(owner: Owner) -> None:
    path = f"/uploads/{(await owner.does('POST /uploads', json={'file_name': 'rows.csv'})).json()['id']}"
    sent = {"Upload-Offset": "0", "Upload-Complete": "?1", "Content-Type": "application/octet-stream"}
    await owner.does("PATCH /uploads/{upload}", path, content=b"a,b\n1,2\n", headers=sent)
    await owner.does("DELETE /uploads/{upload}", path)


async def webhooks(owner: Owner, receiver: Receiver, postman: Postman) -> str:
    """All that can be done to them; gives what nobody else may learn of their URL."""
    url = f"{receiver.url}/known-to-few"
    path = f"/webhooks/{(await owner.does('POST /webhooks', json={'url': url})).json()['id']}"
    await owner.does("PATCH /webhooks/{webhook}", path, json={"url": f"{url}-else", "description": "mine"})
    await owner.does("POST /webhooks/{webhook}/rotate", f"{path}/rotate")
    trying = asyncio.create_task(owner.does("POST /webhooks/{webhook}/test", f"{path}/test"))
    while not receiver.received:
        await postman.goes_round()
    delivery = (await trying).json()["id"]
    await owner.does("POST /deliveries/{delivery}/redeliver", f"/deliveries/{delivery}/redeliver")
    since = {"since": "2026-01-01T00:00:00Z"}
    await owner.does("POST /webhooks/{webhook}/redeliver", f"{path}/redeliver", json=since)
    await owner.does("DELETE /webhooks/{webhook}", path)
    await owner.does("POST /webhooks/secret/rotate")
    return "known-to-few"


async def members(owner: Owner, mate: Account, acting: Acting) -> str:
    """Somebody is invited, given roles, and goes; gives the token that they came in by."""
    path = "/organization/invitations"
    asked = {"email": mate.email, "role": "admin"}
    invitation = (await owner.does("POST /organization/invitations", json=asked)).json()["id"]
    await owner.reads_mail(mate.email)
    await owner.does(f"POST {path}/{{invitation}}/resend", f"{path}/{invitation}/resend")
    token = await owner.reads_mail(mate.email)
    await owner.does("POST /invitations/accept", json={"token": token}, headers=mate.headers)
    asked = {"email": "nobody@example.com", "role": "owner"}
    invitation = (await owner.does("POST /organization/invitations", json=asked)).json()["id"]
    await owner.does(f"DELETE {path}/{{invitation}}", f"{path}/{invitation}")
    await owner.does("POST /organization/transfer", json={"user_id": str(mate.user_id)})
    here = (await acting(mate, msgspec.structs.replace(mate, tenant_id=owner.tenant_id))).headers
    me = (await owner.sees("/auth/me"))["id"]
    await owner.does("POST /organization/transfer", json={"user_id": me}, headers=here)
    path = f"/organization/members/{mate.user_id}"
    await owner.does("PATCH /organization/members/{user}", path, json={"role": "viewer"})
    await owner.does("POST /organization/leave", headers=here)
    await owner.takes_in(mate, Role.MEMBER)
    await owner.does("DELETE /organization/members/{user}", path)
    return token


async def organizations(owner: Owner) -> None:
    other = (await owner.does("POST /organizations", json={"name": "Weather"})).json()["id"]
    asked = {"organization": other, "refresh_token": owner.refresh_token}
    owner.logs_in((await owner.does("POST /auth/switch", json=asked)).json())
    assert str(owner.tenant_id) == other
    await owner.does("PATCH /organization", json={"name": "Weather Office"})
    await owner.does("DELETE /organization", params={"confirm": "Weather Office"})
    owner.logs_in((await owner.does("POST /auth/login", json=ACCOUNT)).json())


async def test_joining_with_a_new_account_is_in_the_log_of_the_organisation(client, owner, account):
    asked = {"email": ACCOUNT["email"], "role": "member"}
    by_owner = {"headers": account.headers}
    invited = (await owner.does("POST /organization/invitations", json=asked, **by_owner)).json()
    token = await owner.reads_mail(ACCOUNT["email"])

    joined = await owner.does("POST /auth/register", json=ACCOUNT | {"invitation": token})

    log = await client.get(f"/api/v1/audit-log?target={invited['id']}", **by_owner)
    accepted, created = log.json()["items"]
    assert (accepted["action"], created["action"]) == ("invitation.accept", "invitation.create")
    assert accepted["actor"] == {"type": "user", "id": joined.json()["id"], "name": ACCOUNT["email"]}
    assert accepted["after"] == created["after"] == {"role": "member"}
    assert token not in await owner.log()


async def test_a_wrong_password_is_told_to_the_account_it_was_tried_at(app, client, owner):
    await keys_and_account(owner)
    wrong = ACCOUNT | {"password": "not it at all"}

    await client.post("/api/v1/auth/login", json=wrong)
    await app.state.accounts.close()

    answer = await owner.does("GET /audit-log", "/audit-log?action=auth.login_failed")
    (act,) = answer.json()["items"]
    assert act["actor"] == {"type": "anonymous", "id": None, "name": None}
    assert act["target"]["name"] == ACCOUNT["email"]
    assert act["address"] == "127.0.0.1"
