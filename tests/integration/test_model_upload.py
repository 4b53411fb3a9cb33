"""Uploading models over HTTP, on real tables and storage. Verdicts are written as a predict worker does."""

import asyncio
import base64
import hashlib
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import pytest

from shared.catalog.messages import VALIDATIONS_KEY
from shared.catalog.service import record_verdict
from tests.fixtures.api import READY, REJECTED

PUT = "/api/v1/models/iris/versions"
UPLOAD = "/api/v1/models/upload"


@pytest.fixture
def stored(settings):
    """What storage holds at present, by key."""
    folder = Path(urlsplit(settings.storage_url).path)

    def look() -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    return look


async def test_an_upload_answers_with_the_model_and_its_new_version(client, account):
    answer = await client.post(
        UPLOAD,
        files={"file": ("model.pkl", b"a model")},
        data={"name": "iris_classifier", "model_type": "sklearn", "description": "Species by measures"},
        headers={**account.headers, "Prefer": "wait=0"},
    )

    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/models/{body['id']}/versions/1"
    assert body["name"] == "iris_classifier"
    assert body["description"] == "Species by measures"
    assert body["model_type"] == "sklearn"
    assert body["status"] == "validating"
    assert body["current_version"] is None
    assert body["endpoint"] == f"http://localhost:8000/api/v1/predict/{body['id']}"
    assert body["version"]["number"] == 1
    assert body["version"]["file_name"] == "model.pkl"
    assert body["version"]["size_bytes"] == 7
    assert body["version"]["digest"] == hashlib.sha256(b"a model").hexdigest()


async def test_predict_workers_are_asked_for_a_verdict(upload, redis):
    answer = await upload()

    assert await redis.zrange(VALIDATIONS_KEY, 0, -1) == [answer["version"]["id"].encode()]


async def test_an_upload_waits_until_its_verdict_is_there(client, account, judge, redis):
    async def judge_what_is_asked_for():
        _, version_id, _ = await redis.bzpopmin(VALIDATIONS_KEY, timeout=4)
        await judge(version_id.decode())

    worker = asyncio.create_task(judge_what_is_asked_for())
    answer = await client.put(PUT, content=b"a model", headers={**account.headers, "Prefer": "wait=30"})
    await worker

    body = answer.json()
    assert (body["status"], body["current_version"], body["version"]["serving"]) == ("ready", 1, True)
    assert body["model_type"] == "sklearn"
    assert body["example_request"] == {"input": {"sepal_length": 5.1, "sepal_width": 3.5}}
    assert [column["name"] for column in body["signature"]["inputs"]] == ["sepal_length", "sepal_width"]
    assert body["version"]["verdict"]["libraries"]["scikit-learn"]["artifact"] == "1.7.2"


async def test_an_upload_finds_its_verdict_even_if_nobody_tells(client, account, database, redis):
    async def judge_in_silence():
        _, version_id, _ = await redis.bzpopmin(VALIDATIONS_KEY, timeout=4)
        async with database.transaction() as session:
            await record_verdict(session, UUID(version_id.decode()), READY)

    worker = asyncio.create_task(judge_in_silence())
    answer = await client.put(PUT, content=b"a model", headers={**account.headers, "Prefer": "wait=30"})
    await worker

    assert answer.json()["status"] == "ready"


async def test_a_rejected_upload_says_why_and_how_to_mend_it(client, account, upload, judge):
    uploaded = await upload()
    await judge(uploaded["version"]["id"], REJECTED)

    model = (await client.get("/api/v1/models/iris", headers=account.headers)).json()
    version = (await client.get("/api/v1/models/iris/versions/1", headers=account.headers)).json()

    assert (model["status"], model["current_version"]) == ("rejected", None)
    assert version["reason"] == {
        "code": "not_a_model",
        "message": "the file is a text",
        "remedy": "upload what joblib.dump wrote",
    }


async def test_a_rejected_version_leaves_the_one_that_serves(client, account, served, upload, judge):
    await served()
    second = await upload()
    await judge(second["version"]["id"], REJECTED)

    model = (await client.get("/api/v1/models/iris", headers=account.headers)).json()

    assert (model["status"], model["current_version"]) == ("ready", 1)


async def test_the_same_name_again_makes_the_next_version(upload):
    first, second = await upload(), await upload()

    assert second["id"] == first["id"]
    assert (first["version"]["number"], second["version"]["number"]) == (1, 2)


async def test_uploads_of_one_name_at_once_get_numbers_of_their_own(upload):
    answers = await asyncio.gather(*(upload(content=bytes([index])) for index in range(8)))

    assert {answer["id"] for answer in answers} == {answers[0]["id"]}
    assert sorted(answer["version"]["number"] for answer in answers) == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_a_number_is_never_given_twice(client, account, upload):
    await upload()
    await client.delete("/api/v1/models/iris/versions/1", headers=account.headers)

    assert (await upload())["version"]["number"] == 2


async def test_a_description_stays_unless_the_upload_brings_another(upload):
    await upload(description="first")
    silent = await upload()
    changed = await upload(description="second")

    assert (silent["description"], changed["description"]) == ("first", "second")


async def test_sample_rows_are_kept_beside_the_artifact(client, account, stored):
    answer = await client.post(
        UPLOAD,
        files={"file": ("m.pkl", b"a model"), "sample": ("rows.csv", b"a\n1\n")},
        data={"name": "iris"},
        headers={**account.headers, "Prefer": "wait=0"},
    )

    version_id = answer.json()["version"]["id"]
    assert stored() == {f"artifacts/{version_id}", f"samples/{version_id}"}


async def test_a_raw_body_is_an_upload_too(client, account):
    content = b"a model" * 100_000

    answer = await client.put(
        PUT,
        content=content,
        params={"model_type": "sklearn"},
        headers={
            **account.headers,
            "Prefer": "wait=0",
            "Content-Disposition": 'attachment; filename="iris.joblib"',
            "Repr-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:",
        },
    )

    version = answer.json()["version"]
    assert answer.status_code == 201
    assert (version["file_name"], version["size_bytes"]) == ("iris.joblib", 700_000)


async def test_a_raw_body_may_name_its_model_by_id(client, account, upload):
    model_id = (await upload())["id"]

    answer = await client.put(
        f"/api/v1/models/{model_id}/versions",
        content=b"next",
        headers={**account.headers, "Prefer": "wait=0"},
    )

    assert (answer.json()["id"], answer.json()["version"]["number"]) == (model_id, 2)


async def test_bytes_that_do_not_fit_their_digest_are_refused(client, account, stored):
    wrong = base64.b64encode(bytes(32)).decode()

    answer = await client.put(
        PUT, content=b"a model", headers={**account.headers, "Repr-Digest": f"sha-256=:{wrong}:"}
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "digest_mismatch")
    assert stored() == set()


@pytest.mark.parametrize("name", ["iris classifier", "é", "..%2e", "0192f0c1-2d3e-7abc-8def-0123456789ab"])
async def test_a_name_that_a_model_cannot_have_is_refused_and_nothing_kept(client, account, stored, name):
    answer = await client.post(
        UPLOAD,
        files={"file": ("m.pkl", b"a model")},
        data={"name": name},
        headers={**account.headers, "Prefer": "wait=0"},
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_model_name")
    assert stored() == set()


@pytest.mark.parametrize(
    ("data", "files", "status", "says"),
    [
        ({}, {"file": ("m", b"x")}, 422, "name"),
        ({"name": "iris"}, {"other": ("m", b"x")}, 400, "'other'"),
        ({"name": "iris"}, {"file": ("m", b"")}, 422, "missing or empty"),
        ({"name": "iris", "model_type": "no such type!"}, {"file": ("m", b"x")}, 422, "model_type"),
        ({"name": "iris", "description": "a\x00b"}, {"file": ("m", b"x")}, 422, "description"),
        ({"name": "iris", "color": "red"}, {"file": ("m", b"x")}, 400, "'color'"),
    ],
)
async def test_a_form_that_does_not_fit_is_refused_and_nothing_kept(
    client, account, stored, data, files, status, says
):
    answer = await client.post(UPLOAD, data=data, files=files, headers=account.headers)

    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert stored() == set()


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{}", "application/json", 415),
        (b"--x\r\n", "multipart/form-data; boundary=x", 400),
        (b"", "multipart/form-data", 400),
    ],
)
async def test_garbage_instead_of_a_form_is_refused(client, account, stored, content, content_type, status):
    answer = await client.post(
        UPLOAD, content=content, headers={**account.headers, "Content-Type": content_type}
    )

    assert answer.status_code == status
    assert stored() == set()


async def test_an_empty_body_is_no_model(client, account, stored):
    answer = await client.put(PUT, content=b"", headers=account.headers)

    assert answer.status_code == 422
    assert stored() == set()


class TestLimits:
    """With room for a thousand bytes."""

    @pytest.fixture
    def settings(self, settings):
        return msgspec.structs.replace(settings, upload_max_bytes=1000, sample_max_bytes=10)

    async def test_a_body_over_the_limit_is_refused(self, client, account, stored):
        answer = await client.put(PUT, content=b"x" * 1001, headers=account.headers)

        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert "1000" in answer.json()["detail"]
        assert stored() == set()

    async def test_a_body_of_unknown_length_is_refused_once_it_passes_the_limit(
        self, client, account, stored
    ):
        async def endless():
            while True:
                yield b"x" * 100

        answer = await client.put(PUT, content=endless(), headers=account.headers)

        assert answer.status_code == 413
        assert stored() == set()

    async def test_a_form_whose_file_is_over_the_limit_is_refused(self, client, account, stored):
        answer = await client.post(
            UPLOAD, files={"file": ("m", b"x" * 1001)}, data={"name": "iris"}, headers=account.headers
        )

        assert answer.status_code == 413
        assert stored() == set()

    async def test_a_form_whose_sample_is_over_its_own_limit_is_refused(self, client, account, stored):
        files = {"file": ("m", b"x"), "sample": ("s", b"x" * 11)}

        answer = await client.post(UPLOAD, files=files, data={"name": "iris"}, headers=account.headers)

        assert answer.status_code == 413
        assert stored() == set()
