"""A submission that is sent again is the same job: by a key in a header, or by an id of the client's own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from httpx import ASGITransport, AsyncClient, Response
from sqlalchemy import func, select

from api.app import create_app
from shared.database.engine import Database
from shared.jobs.tables import JobRow
from shared.settings import Settings
from tests.fixtures.api import Account, Judge, Upload, living

ROWS = b"sepal_length,sepal_width\n5.1,3.5\n6.7,3.0\n"
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


class Submitter:
    """Somebody who sends jobs to one application."""

    def __init__(self, client: AsyncClient, account: Account) -> None:
        self._client, self._headers = client, account.headers

    async def post(self, content: bytes = ROWS, *, key: str | bytes | None = KEY, **fields: str) -> Response:
        headers = self._headers | ({} if key is None else {"Idempotency-Key": key})
        return await self._client.post("/api/v1/jobs", headers=headers, **_form(content, fields))

    async def put(self, job_id: object, content: bytes = ROWS, **fields: str) -> Response:
        path = f"/api/v1/jobs/{job_id}"
        return await self._client.put(path, headers=self._headers, **_form(content, fields))

    async def get(self, path: str = "") -> Response:
        return await self._client.get(f"/api/v1/jobs{path}", headers=self._headers)

    async def cancel(self, job_id: object) -> Response:
        return await self._client.post(f"/api/v1/jobs/{job_id}/cancel", headers=self._headers)


def _form(content: bytes, fields: dict[str, str]) -> dict[str, Any]:
    return {"files": {"file": ("rows.csv", content)}, "data": {"model": "iris"} | fields}


@pytest.fixture
async def user(client: AsyncClient, account: Account, served: Upload) -> Submitter:
    await served("iris")
    return Submitter(client, account)


def inputs(settings: Settings) -> list[Path]:
    return list(Path(settings.storage_url.removeprefix("file://")).glob("jobs/*/input"))


async def job_count(database: Database) -> int:
    async with database.transaction() as session:
        return await session.scalar(select(func.count()).select_from(JobRow)) or 0


async def test_the_same_submission_under_the_same_key_is_the_same_job(
    user: Submitter, settings: Settings, database: Database
):
    first = await user.post(on_error="skip", metadata='{"run": 7}')
    await user.cancel(first.json()["id"])

    again = await user.post(on_error="skip", metadata='{"run": 7}')

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["status"] == "cancelled"
    assert again.headers["Location"] == first.headers["Location"]
    assert first.request.headers["Content-Type"] != again.request.headers["Content-Type"]  # the boundary
    assert len(inputs(settings)) == 1
    assert await job_count(database) == 1


async def test_a_key_in_quotes_is_the_same_as_without(user: Submitter):
    bare, quoted = await user.post(key=KEY), await user.post(key=f'"{KEY}"')

    assert quoted.json()["id"] == bare.json()["id"]


async def test_an_option_that_is_spelled_out_is_no_other_content(user: Submitter):
    first, again = await user.post(), await user.post(on_error="fail", include="all")

    assert again.json()["id"] == first.json()["id"]


async def test_other_content_under_the_same_key_is_refused(user: Submitter, settings: Settings):
    await user.post()

    others = [
        await user.post(ROWS.replace(b"6.7", b"6.8")),
        await user.post(include="none"),
        await user.post(metadata='{"run": 8}'),
    ]

    assert [other.status_code for other in others] == [422, 422, 422]
    assert {other.json()["code"] for other in others} == {"idempotency_key_reused"}
    assert len(inputs(settings)) == 1


async def test_another_key_and_no_key_are_jobs_of_their_own(user: Submitter, database: Database):
    answers = [await user.post(key=key) for key in (KEY, "another", None, None)]

    assert len({answer.json()["id"] for answer in answers}) == 4
    assert await job_count(database) == 4


async def test_nothing_is_remembered_of_a_submission_that_was_refused(user: Submitter):
    refused = await user.post(model="nobody")

    accepted = await user.post()

    assert (refused.status_code, accepted.status_code) == (404, 202)


async def test_a_key_is_known_even_where_the_model_is_there_no_more(
    user: Submitter, client: AsyncClient, account: Account
):
    first = await user.post()
    await user.cancel(first.json()["id"])
    deleted = await client.delete("/api/v1/models/iris", headers=account.headers)

    again = await user.post()

    assert deleted.status_code < 300
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])


async def test_a_hundred_equal_submissions_at_once_are_one_job(
    user: Submitter, account: Account, *, settings: Settings, database: Database
):
    async with (
        living(create_app(settings)) as second,
        AsyncClient(transport=ASGITransport(second), base_url="http://second.test", timeout=30) as client,
    ):
        users = [user, Submitter(client, account)] * 50

        answers = await asyncio.gather(*[sender.post() for sender in users])

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await job_count(database) == 1
    assert len(inputs(settings)) == 1


async def test_a_submission_that_is_still_arriving_holds_up_no_other(
    user: Submitter, client: AsyncClient, account: Account, settings: Settings
):
    whole = client.build_request("POST", "/api/v1/jobs", **_form(ROWS, {}))
    body = await whole.aread()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:-20]
        begun.set()
        await may_end.wait()
        yield body[-20:]

    headers = account.headers | {"Idempotency-Key": KEY, "Content-Type": whole.headers["Content-Type"]}
    slow = asyncio.create_task(client.post("/api/v1/jobs", content=slowly(), headers=headers))
    await begun.wait()

    quick = await user.post()
    may_end.set()

    assert quick.status_code == 202
    assert (await slow).json()["id"] == quick.json()["id"]
    assert len(inputs(settings)) == 1


async def test_of_different_submissions_under_one_key_at_once_one_is_taken(
    user: Submitter, settings: Settings, database: Database
):
    answers = await asyncio.gather(*[user.post(metadata=f'{{"run": {run}}}') for run in range(10)])

    assert sorted(answer.status_code for answer in answers) == [202] + [422] * 9
    assert await job_count(database) == 1
    assert len(inputs(settings)) == 1


NO_KEYS = ["", "x" * 256, '"open', '"a";b=1', b"caf\xc3\xa9", '""']


async def test_what_cannot_be_a_key_is_refused(user: Submitter, settings: Settings):
    answers = [await user.post(key=key) for key in NO_KEYS]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")
        assert "255" in answer.json()["detail"]
    assert inputs(settings) == []


async def test_two_keys_are_refused(client: AsyncClient, account: Account):
    headers = [*account.headers.items(), ("Idempotency-Key", "one"), ("Idempotency-Key", "two")]

    answer = await client.post("/api/v1/jobs", headers=headers, **_form(ROWS, {}))

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")


async def test_a_job_has_the_id_that_its_client_chose(user: Submitter):
    own = uuid4()

    put = await user.put(own)

    job = put.json()
    assert (put.status_code, job["client_id"]) == (202, str(own))
    assert put.headers["Location"] == f"/api/v1/jobs/{job['id']}"
    assert (await user.get(f"/{own}")).json()["id"] == job["id"]
    assert (await user.get(f"/{own}/log")).status_code == 200
    assert (await user.cancel(own)).json()["status"] == "cancelled"


async def test_the_same_put_again_is_the_same_job(user: Submitter, settings: Settings, database: Database):
    own = uuid4()

    first, *others = await asyncio.gather(*[user.put(own) for _ in range(10)])
    again = await user.put(own)

    assert sorted(a.status_code for a in (first, *others)) == [200] * 9 + [202]
    assert again.status_code == 200
    assert {a.json()["id"] for a in (first, again, *others)} == {first.json()["id"]}
    assert await job_count(database) == 1
    assert len(inputs(settings)) == 1


async def test_other_content_under_the_same_id_is_a_conflict(user: Submitter, settings: Settings):
    own = uuid4()
    await user.put(own)

    other = await user.put(own, include="none")

    assert (other.status_code, other.json()["code"]) == (409, "job_id_taken")
    assert len(inputs(settings)) == 1


async def test_the_id_that_the_platform_gave_to_a_job_is_taken(user: Submitter):
    job_id = (await user.post(key=None)).json()["id"]

    answer = await user.put(job_id)

    assert (answer.status_code, answer.json()["code"]) == (409, "job_id_taken")


async def test_what_cannot_be_an_id_is_refused(user: Submitter, settings: Settings):
    answer = await user.put("nightly-run")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_job_id")
    assert inputs(settings) == []


async def test_names_of_another_tenant_are_free_and_tell_nothing(
    user: Submitter, client: AsyncClient, stranger: Account, judge: Judge
):
    own = uuid4()
    theirs = [(await user.put(own)).json()["id"], (await user.post()).json()["id"]]
    model = await client.post(
        "/api/v1/models/upload",
        files={"file": ("model.pkl", b"a model")},
        data={"name": "iris"},
        headers={**stranger.headers, "Prefer": "wait=0"},
    )
    await judge(model.json()["version"]["id"])
    other = Submitter(client, stranger)

    unknown = await other.get(f"/{own}")
    answers = [await other.put(own, include="none"), await other.put(theirs[0]), await other.post()]

    assert (unknown.status_code, unknown.json()["code"]) == (404, "job_not_found")
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert not {answer.json()["id"] for answer in answers} & set(theirs)
    assert (await user.get(f"/{own}")).json()["id"] == theirs[0]
    assert (await other.get(f"/{own}")).json()["id"] == answers[0].json()["id"]
