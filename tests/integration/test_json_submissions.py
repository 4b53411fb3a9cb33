"""Jobs that are submitted as JSON, with their rows in the request."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient, Response

from shared.settings import Settings
from tests.fixtures.api import Account, Judge, Upload
from tests.fixtures.models import OpenModel
from workers.jobs.context import JobContext
from workers.jobs.finish import finish_job
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

# The regressor of tests/fixtures answers x0 - 2 x1 + 0.5 x2 + 4.
ARRAYS = [[1, 2, 4], [0.5, 0, 0], [10, 1, 2]]
OBJECTS = [{"x0": 1, "x1": 2, "x2": 4}, {"x2": 0, "x1": 0, "x0": 0.5}, {"x0": 10, "x1": 1, "x2": 2}]
ANSWERS = [3.0, 4.5, 13.0]


class Submitter:
    """Somebody who submits JSON, and works on the jobs of it."""

    def __init__(self, client: AsyncClient, account: Account, job_context: JobContext) -> None:
        self._client, self._headers, self._context = client, account.headers, job_context

    async def post(self, body: Any, **headers: str) -> Response:
        path, headers = "/api/v1/jobs", self._headers | headers
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/json"
            return await self._client.post(path, content=body, headers=headers)
        return await self._client.post(path, json=body, headers=headers)

    async def put(self, job_id: object, body: Any) -> Response:
        return await self._client.put(f"/api/v1/jobs/{job_id}", json=body, headers=self._headers)

    async def get(self, path: str) -> Response:
        return await self._client.get(f"/api/v1/jobs{path}", headers=self._headers)

    async def ended(self, submitted: Response) -> dict[str, Any]:
        """The job, worked on to its end."""
        assert submitted.status_code == 202, submitted.text
        job_id = UUID(submitted.json()["id"])
        await plan_job(self._context, job_id)
        await run_chunk(self._context, job_id, 0)
        await finish_job(self._context, job_id)
        return (await self.get(f"/{job_id}")).json()

    async def result(self, submitted: Response) -> str:
        job = await self.ended(submitted)
        assert job["status"] == "succeeded", job["error"]
        return (await self.get(f"/{job['id']}/result")).text


@pytest.fixture
def user(client: AsyncClient, account: Account, job_context: JobContext) -> Submitter:
    return Submitter(client, account, job_context)


@pytest.fixture
async def linear(upload: Upload, judge: Judge, regressor: Path, open_model: OpenModel) -> None:
    """A model that answers."""
    _, verdict = open_model(regressor)
    answer = await upload("linear", content=await asyncio.to_thread(regressor.read_bytes))
    await judge(answer["version"]["id"], verdict)


@pytest.fixture
async def some_model(served: Upload) -> None:
    """A model of the same name to which only jobs can be submitted."""
    await served("linear")


def job_folders(settings: Settings) -> Iterator[Path]:
    """Of all jobs for which something was ever stored."""
    return Path(settings.storage_url.removeprefix("file://")).glob("jobs/*")


def stored_files(settings: Settings) -> list[Path]:
    return [file for folder in job_folders(settings) for file in folder.rglob("*") if file.is_file()]


def asked(rows: Any = ARRAYS, **more: Any) -> dict[str, Any]:
    return {"model": "linear", "input": {"rows": rows}} | more


@pytest.mark.usefixtures("linear")
@pytest.mark.parametrize("rows", [ARRAYS, OBJECTS], ids=["arrays", "objects"])
async def test_rows_of_a_request_are_predicted(user: Submitter, rows: Any):
    submitted = await user.post(asked(rows, output={"include": "none"}))

    lines = (await user.result(submitted)).splitlines()

    assert [json.loads(line)["prediction"] for line in lines] == pytest.approx(ANSWERS)
    assert submitted.headers["Location"] == f"/api/v1/jobs/{submitted.json()['id']}"
    assert submitted.json()["input"]["file_name"] == "rows.jsonl"
    assert submitted.json()["output"]["format"] == "jsonl"


@pytest.mark.usefixtures("linear")
async def test_rows_are_carried_through_as_they_were_spelled(user: Submitter):
    body = b"""{"model": "linear", "input": {"rows": [
        {"id": 123456789012345678901234567890,
         "x0": 1.50, "x1": 2, "x2": 4, "note": "two\\nlines"}
    ]}}"""

    line = await user.result(await user.post(body))

    assert line.count("\n") == 1
    assert '"id": 123456789012345678901234567890' in line
    assert '"x0": 1.50' in line
    assert json.loads(line)["note"] == "two\nlines"


@pytest.mark.usefixtures("linear")
async def test_every_option_is_heard(user: Submitter):
    submitted = await user.post(
        asked(
            [*OBJECTS, {"x0": "wide", "x1": 0, "x2": 0}],
            version=1,
            output={"format": "csv", "include": ["x1"]},
            on_error="skip",
            callback_url="https://example.com/hook",
            events=["job.progress"],
            metadata={"run": 7, "of": ["a"]},
        )
    )

    job = await user.ended(submitted)

    assert (job["status"], job["rows"]) == ("succeeded", {"total": 4, "done": 3, "failed": 1})
    assert (job["version"], job["on_error"], job["metadata"]) == (1, "skip", {"run": 7, "of": ["a"]})
    assert job["callback_url"] == "https://example.com/hook"
    assert "job.progress" in job["events"]
    assert (job["output"]["format"], job["output"]["include"]) == ("csv", ["x1"])
    result = (await user.get(f"/{job['id']}/result")).text.splitlines()
    assert result[0] == "x1,prediction"
    assert [float(line.split(",")[1]) for line in result[1:]] == pytest.approx(ANSWERS)


WRONG = {
    "[1, 2]": "an array of 2 values",
    "[1, 2, 3, 4]": "an array of 4 values",
    "7": "got the number 7",
    "null": "got null",
    '{"x0": 1, "x1": 2}': "the column is missing in this row",
    '{"x0": "wide", "x1": 2, "x2": 3}': "expected a number, got the text 'wide'",
}


@pytest.mark.usefixtures("linear")
async def test_rows_of_the_wrong_shape_are_told_by_the_job_with_their_numbers(user: Submitter):
    rows = [*OBJECTS, *map(json.loads, WRONG)]

    failed = await user.ended(await user.post(asked(rows)))
    skipped = await user.ended(await user.post(asked(rows, on_error="skip")))

    assert failed["status"] == "failed"
    assert failed["error"]["message"].startswith(
        "row 3: expected an object with the columns, got an array of"
    )
    assert skipped["rows"] == {"total": 9, "done": 3, "failed": 6}
    errors = (await user.get(f"/{skipped['id']}/errors")).text.splitlines()
    for number, (error, says) in enumerate(zip(map(json.loads, errors), WRONG.values(), strict=True), 3):
        assert error["row"] == number
        assert says in error["message"]


REFUSED: list[tuple[Any, int, str, str]] = [
    (asked(colour="red"), 422, "invalid_input", "unknown field `colour`"),
    (asked(output={"colour": "red"}), 422, "invalid_input", "unknown field `colour`"),
    ({"model": "linear", "input": {"rows": ARRAYS, "ftp": "x"}}, 422, "invalid_input", "field `ftp`"),
    ({"model": "linear", "input": {}}, 422, "invalid_input", "exactly one of"),
    ({"model": "linear"}, 422, "invalid_input", "field `input`"),
    (asked([]), 422, "invalid_input", "at least one row"),
    (asked({"x0": [1]}), 422, "invalid_input", "Expected `array"),
    (asked(format="jsonl"), 422, "invalid_option", "rows are no file"),
    (asked(encoding="latin-1"), 422, "invalid_option", "rows are no file"),
    (asked(output={"format": "arrow"}), 422, "invalid_option", "/output/format"),
    (asked(output={"include": ["x0", "x0"]}), 422, "invalid_option", "/output/include"),
    (asked(output={"include": "some"}), 422, "invalid_input", "/output/include"),
    (asked(metadata={"a": "x" * 5000}), 422, "invalid_option", "4096"),
    (asked(version=7), 404, "version_not_found", "7"),
    (asked(model="nobody"), 404, "model_not_found", "nobody"),
    (asked(callback_url="ftp://example.com"), 422, "callback_url_refused", "http"),
    (b"", 400, "malformed_json", "empty"),
    (b'{"model": "linear", "input": {"rows": [{]}}', 400, "malformed_json", "not JSON"),
    (b'{"model": "linear", "input": {"rows": [["\xff"]]}}', 400, "malformed_json", "UTF-8"),
    (b'{"input": {"rows": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}}", 400, "malformed_json", "deeply"),
    (b" " * (16 * 1024 * 1024 + 1), 413, "too_large", "16777216"),
]


@pytest.mark.usefixtures("some_model")
async def test_wrong_submissions_are_refused_before_anything_is_stored(user: Submitter, settings: Settings):
    answers = [await user.post(body) for body, *_ in REFUSED]

    for answer, (_, status, code, says) in zip(answers, REFUSED, strict=True):
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert says in answer.text
    assert list(job_folders(settings)) == []
    assert (await user.get("")).json()["items"] == []


@pytest.mark.usefixtures("some_model")
async def test_another_content_type_is_told_what_is_read(user: Submitter):
    answer = await user.post(b"<rows/>", **{"content-type": "text/xml"})

    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]


@pytest.mark.usefixtures("some_model")
async def test_equal_content_under_one_key_is_one_job_however_it_is_written(
    user: Submitter, settings: Settings
):
    key = {"Idempotency-Key": "nightly"}
    first = await user.post(asked(OBJECTS, metadata={"a": 1, "b": 2}), **key)
    turned = {"metadata": {"b": 2, "a": 1}, "input": {"rows": OBJECTS}, "on_error": "fail", "model": "linear"}

    again = await user.post(json.dumps(turned, indent=2).encode(), **key)
    other = await user.post(asked(OBJECTS[::-1], metadata={"a": 1, "b": 2}), **key)

    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(stored_files(settings)) == 1


@pytest.mark.usefixtures("some_model")
async def test_equal_submissions_at_once_are_one_job(user: Submitter, settings: Settings):
    answers = await asyncio.gather(*[user.post(asked(), **{"Idempotency-Key": "once"}) for _ in range(20)])

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await user.get("")).json()["items"]) == 1
    assert len(stored_files(settings)) == 1


@pytest.mark.usefixtures("some_model")
async def test_rows_are_put_under_an_id_of_the_clients_own(user: Submitter):
    own = "4cf48bb2-0c4c-4a8b-8a2b-5d5c8d2f7a11"

    answers = [
        await user.put(own, asked()),
        await user.put(own, asked()),
        await user.put(own, asked(OBJECTS)),
    ]

    assert [answer.status_code for answer in answers] == [202, 200, 409]
    assert answers[1].json()["id"] == answers[0].json()["id"]
