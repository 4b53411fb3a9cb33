"""POST predict/{model} with `Prefer: respond-async`: a job, and in the end the answer of one at once."""

import asyncio
import json
import pickle
from uuid import UUID

import msgspec
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sqlalchemy import update

from shared.jobs.tables import JobRow
from workers.jobs.finish import finish_job
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

IRIS = load_iris(as_frame=True)
FLOWERS = IRIS.data.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_"))
SPECIES = IRIS.target_names[IRIS.target]
ROWS = FLOWERS.iloc[[0, 60, 120]].to_dict("records")
ARRAYS = FLOWERS.iloc[[0, 60, 120]].to_numpy().tolist()

MODELS = {
    "named": LogisticRegression(max_iter=1000).fit(FLOWERS, SPECIES),
    "bare": LogisticRegression(max_iter=1000).fit(FLOWERS.to_numpy(), IRIS.target),
    "two": LinearRegression().fit(FLOWERS, FLOWERS.to_numpy()[:, :2] * 2),
}


class User:
    """Asks for predictions, at once and later, and works on the jobs of it."""

    def __init__(self, client, headers, job_context) -> None:
        self._client, self.headers, self._context = client, headers, job_context

    async def upload(self, name: str) -> None:
        files = {"file": ("model.pkl", pickle.dumps(MODELS[name]))}
        answer = await self._client.post(
            "/api/v1/models/upload", data={"name": name}, files=files, headers=self.headers
        )
        assert answer.json()["version"]["status"] == "ready", answer.text

    async def now(self, model: str, body, **headers):
        return await self.post(model, body, **{"Prefer": "wait=30", "Cache-Control": "no-cache"} | headers)

    async def later(self, model: str, body, **headers):
        return await self.post(model, body, **{"Prefer": "respond-async"} | headers)

    async def post(self, model: str, body, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = self.headers | {"Content-Type": "application/json"} | headers
        return await self._client.post(f"/api/v1/predict/{model}", content=content, headers=headers)

    async def get(self, path: str, **headers):
        return await self._client.get(f"/api/v1/jobs/{path}", headers=self.headers | headers)

    async def submit(self, **body):
        """A job with rows in the request that was not asked for by way of predict."""
        return await self._client.post("/api/v1/jobs", json=body, headers=self.headers)

    async def worked_on(self, submitted) -> str:
        assert submitted.status_code == 202, submitted.text
        job_id = UUID(submitted.json()["id"])
        await plan_job(self._context, job_id)
        await run_chunk(self._context, job_id, 0)
        await finish_job(self._context, job_id)
        return str(job_id)

    async def answer(self, submitted):
        job = await self.worked_on(submitted)
        answer = await self.get(f"{job}/result", Accept="application/json")
        assert answer.status_code == 200, answer.text
        return answer


@pytest.fixture
def user(client, account, job_context) -> User:
    return User(client, account.headers, job_context)


@pytest.fixture
def settings(settings):
    """Of a platform where a body for later may be larger than one for now."""
    return msgspec.structs.replace(
        settings, predict_max_bytes=4000, job_rows_max_bytes=20_000, upload_per_minute=40
    )


@pytest.fixture
async def model(served) -> str:
    """A model that jobs can be submitted to; it takes `sepal_length` and `sepal_width`."""
    await served("iris")
    return "iris"


SPELLED = {
    "objects": ("named", {"inputs": ROWS}),
    "arrays": ("named", {"inputs": ARRAYS}),
    "one": ("named", {"input": ROWS[1], "version": 1, "key": "ada", "outputs": ["label"]}),
    "one array": ("named", {"input": ARRAYS[1]}),
    "a list of one": ("named", {"inputs": ROWS[:1]}),
    "columns beside": ("named", {"inputs": [row | {"prediction": 1, "colour": "blue"} for row in ROWS]}),
    "no names": ("bare", {"inputs": ROWS}),
    "several numbers": ("two", {"inputs": ROWS}),
    "several of one": ("two", {"input": ROWS[0]}),
}


async def test_the_answer_later_is_the_answer_at_once(user, predict_workers):
    await predict_workers.start()
    for name in MODELS:
        await user.upload(name)

    for case, (model, body) in SPELLED.items():
        at_once = (await user.now(model, body)).json()
        submitted = await user.later(model, body)
        answer = (await user.answer(submitted)).json()

        assert answer.pop("prediction_id") == submitted.json()["id"], case
        assert at_once.pop("prediction_id"), case
        assert answer == at_once, case
        assert list(answer) == list(at_once), case

    answer = await user.later("named", {"input": ROWS[0]}, Prefer="respond-async, wait=30")
    assert (answer.status_code, answer.json()["prediction"]) == (200, "setosa"), "in time"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["ratelimit-policy"].startswith('"predict"')
    key = {"Prefer": "respond-async, wait=30", "Idempotency-Key": "one"}
    assert (await user.later("named", {"input": ROWS[0]}, **key)).status_code == 202
    lines = (await user.get(f"{submitted.json()['id']}/result")).text.splitlines()
    assert [list(json.loads(line)) for line in lines] == [["prediction_0", "prediction_1"]]


async def test_an_answer_that_does_not_come_in_time_is_a_job(user, model):
    answer = await user.later(model, {"input": [5.1, 3.5]}, Prefer="respond-async, wait=1")  # no worker runs

    assert (answer.status_code, answer.json()["status"]) == (202, "validating")


async def test_later_is_told_where_and_as_what(user, model):
    answer = await user.later(model, {"inputs": [[5.1, 3.5], [6.7, 3.0]]})

    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/jobs/{job['id']}"
    assert answer.headers["preference-applied"] == "respond-async"
    assert answer.headers["ratelimit-policy"] == '"upload";q=40;w=60'
    assert answer.headers["x-request-id"]
    assert job == (await user.get(job["id"])).json()
    assert (job["model"], job["version"], job["status"]) == ("iris", 1, "validating")
    assert (job["output"]["format"], job["output"]["include"]) == ("jsonl", "none")
    early = await user.get(f"{job['id']}/result", Accept="application/json")
    assert (early.status_code, early.json()["code"]) == (409, "result_not_ready")


WRONG_BODIES = {
    "nothing": b"",
    "half": b"{",
    "bytes": b'{"input": ["\xff", 1]}',
    "deep": b'{"input": ' + b"[" * 2000 + b"]" * 1900,
    "no object": b"[]",
    "no rows": b'{"inputs": []}',
    "both": b'{"input": [1, 1], "inputs": [[1, 1]]}',
    "neither": b"{}",
    "too few": b'{"input": [1]}',
    "missing": b'{"inputs": [{"sepal_length": 1, "sepal_width": 2}, {"sepal_width": 2}]}',
    "text": b'{"inputs": [[1, 1], [1, "wide"]]}',
    "null": b'{"input": null}',
    "unknown key": b'{"input": [1, 1], "colour": "red"}',
    "no such version": b'{"input": [1, 1], "version": 99}',
    "version of a type": b'{"input": [1, 1], "version": "one"}',
}


async def test_what_is_wrong_is_told_as_at_once(user, model):
    for case, body in WRONG_BODIES.items():
        at_once, later = await user.now(model, body), await user.later(model, body)

        assert 400 <= later.status_code < 500, case
        assert later.status_code == at_once.status_code, case
        assert later.json() | {"request_id": ""} == at_once.json() | {"request_id": ""}, case

    assert (await user.get("")).json()["items"] == []


NOT_FOR_LATER = {
    "arrow": (b"ARROW", {"Content-Type": "application/vnd.apache.arrow.stream"}, 415, "unsupported_format"),
    "another type": (b"<a/>", {"Content-Type": "text/xml"}, 415, "unsupported_format"),
    "raw tensors": (b"{}", {"Inference-Header-Content-Length": "2"}, 415, "unsupported_format"),
    "tensors": (
        b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [5.1, 3.5]}]}',
        {},
        415,
        "unsupported_format",
    ),
    "other outputs": (b'{"input": [1, 1], "outputs": ["probabilities"]}', {}, 422, "invalid_input"),
    "no outputs": (b'{"input": [1, 1], "outputs": []}', {}, 422, "invalid_input"),
    "a broken key": (b'{"input": [1, 1]}', {"Idempotency-Key": ""}, 400, "invalid_idempotency_key"),
}


async def test_what_cannot_be_answered_later_is_told_what_can(user, model):
    for case, (body, headers, status, code) in NOT_FOR_LATER.items():
        answer = await user.later(model, body, **headers)

        assert (answer.status_code, answer.json()["code"]) == (status, code), case

    assert (await user.get("")).json()["items"] == []


async def test_a_body_too_large_for_now_can_be_answered_later(user, model):
    rows = [[5.1, 3.5]] * 1000

    now, later = await user.now(model, {"inputs": rows}), await user.later(model, {"inputs": rows})
    broken = await user.later(model, b'{"inputs": [' + b"[5.1, 3.5]," * 1000 + b"]}")
    beyond = await user.later(model, {"inputs": rows * 2})

    assert (now.status_code, later.status_code) == (413, 202)
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed_json")
    assert (beyond.status_code, beyond.json()["code"]) == (413, "too_large")
    assert "20000" in beyond.json()["detail"]


async def test_the_same_under_one_key_is_one_job(user, model):
    key = {"Idempotency-Key": "flower"}
    first = await user.later(model, {"input": [5.1, 3.5]}, **key)

    again = await user.later(model, b'{"input": [5.1,   3.5]}', **key)
    listed = await user.later(model, {"inputs": [[5.1, 3.5]]}, **key)

    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert (listed.status_code, listed.json()["code"]) == (422, "idempotency_key_reused")
    assert len((await user.get("")).json()["items"]) == 1


async def test_others_see_neither_the_model_nor_the_job(user, model, stranger, client, job_context):
    other = User(client, stranger.headers, job_context)
    job = (await user.later(model, {"input": [5.1, 3.5]})).json()["id"]

    asked = await other.later(model, {"input": [5.1, 3.5]})
    result = await other.get(f"{job}/result", Accept="application/json")
    nobody = await client.post(
        f"/api/v1/predict/{model}", json={"input": [1, 1]}, headers={"Prefer": "respond-async"}
    )

    assert (asked.status_code, asked.json()["code"]) == (404, "model_not_found")
    assert (result.status_code, result.json()["code"]) == (404, "job_not_found")
    assert (nobody.status_code, nobody.json()["code"]) == (401, "unauthenticated")


async def test_other_methods_and_paths_are_answered_as_ever(client, account):
    headers = account.headers | {"Prefer": "respond-async"}

    read = await client.get("/api/v1/predict/iris", headers=headers)
    nowhere = await client.post("/api/v1/predict/a/b", json={"input": [1]}, headers=headers)

    assert (read.status_code, read.headers["allow"]) == (405, "POST")
    assert nowhere.status_code == 404


@pytest.fixture
async def linear(upload, judge, regressor, open_model) -> str:
    """A model that answers x0 - 2 x1 + 0.5 x2 + 4."""
    _, verdict = open_model(regressor)
    answer = await upload("linear", content=await asyncio.to_thread(regressor.read_bytes))
    await judge(answer["version"]["id"], verdict)
    return "linear"


PLANE = [{"id": 7, "x0": 1, "x1": 2, "x2": 4}, {"id": 8, "x0": 0.5, "x1": 0, "x2": 0}]
LINES = "application/jsonl"


async def test_rows_of_a_job_are_answered_in_one_piece_too(user, linear, database):
    job = await user.worked_on(await user.submit(model=linear, input={"rows": PLANE}))
    path = f"{job}/result"

    whole = await user.get(path, Accept="application/json")
    by_query = await user.get(f"{path}?format=json", Accept="text/html")
    known = await user.get(path, Accept="application/json", **{"If-None-Match": whole.headers["etag"]})
    lines = await user.get(path)

    assert whole.json() == {
        "predictions": pytest.approx([3.0, 4.5]),
        "model": "linear",
        "version": 1,
        "prediction_id": job,
        "cached": False,
    }
    assert (whole.headers["content-type"], whole.headers["vary"]) == ("application/json", "Accept")
    assert (by_query.content, known.status_code, known.content) == (whole.content, 304, b"")
    assert lines.headers["content-type"] == LINES
    assert lines.headers["etag"] != whole.headers["etag"]
    assert [json.loads(line)["id"] for line in lines.text.splitlines()] == [7, 8]

    await change(database, job, rows_total=100_001)
    too_many = await user.get(path, Accept="application/json")
    will_do = await user.get(path, Accept=f"application/json, {LINES};q=0.1")
    assert (too_many.status_code, too_many.json()["code"]) == (406, "not_in_one_piece")
    assert "100000" in too_many.json()["detail"]
    assert (will_do.status_code, will_do.content) == (200, lines.content)

    await change(database, job, rows_total=2, result_size_bytes=16 * 2**20 + 1)
    assert (await user.get(f"{path}?format=json")).status_code == 406


NOT_IN_ONE_PIECE = {
    "another format": ({"output": {"format": "csv"}}, PLANE, "csv"),
    "rows left out": (
        {"on_error": "skip"},
        [*PLANE, {"x0": "wide", "x1": 2, "x2": 4}],
        "rows were left out: 1",
    ),
}


async def test_what_cannot_be_told_in_one_piece_is_read_as_a_file(user, linear):
    for case, (options, rows, says) in NOT_IN_ONE_PIECE.items():
        job = await user.worked_on(await user.submit(model=linear, input={"rows": rows}, **options))

        answer = await user.get(f"{job}/result", Accept="application/json")

        assert (answer.status_code, answer.json()["code"]) == (406, "not_in_one_piece"), case
        assert says in answer.json()["detail"], case
        assert (await user.get(f"{job}/result", Accept="*/*")).status_code == 200, case


async def test_a_file_of_lines_is_no_answer(user, linear, client):
    sent = await client.post(
        "/api/v1/jobs",
        data={"model": linear},
        files={"file": ("rows.jsonl", b'{"x0": 1, "x1": 2, "x2": 4}')},
        headers=user.headers,
    )
    job = await user.worked_on(sent)

    answer = await user.get(f"{job}/result", Accept="application/json")

    assert (answer.status_code, answer.json()["code"]) == (406, "not_in_one_piece")


async def change(database, job: str, **values) -> None:
    async with database.transaction() as session:
        await session.execute(update(JobRow).where(JobRow.id == UUID(job)).values(**values))
