"""POST predict/{model}, as its callers see it: the real application before a real predict worker."""

import io
import pickle

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression

IRIS = load_iris(as_frame=True)
FLOWERS = IRIS.data.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_"))
SPECIES = IRIS.target_names[IRIS.target]
ON_FRAME = LogisticRegression(max_iter=1000).fit(FLOWERS, SPECIES)
ON_ARRAY = LogisticRegression(max_iter=1000).fit(FLOWERS.to_numpy(), IRIS.target)
SETOSA = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


@pytest.fixture
async def send(client, account, predict_workers):
    """Uploads, and sends requests to predict."""
    await predict_workers.start()
    return Sender(client, account.headers)


class Sender:
    def __init__(self, client, headers) -> None:
        self.client, self.headers = client, headers

    async def upload(self, name: str, content: bytes, **fields) -> dict:
        files = {"file": ("model.pkl", content), **fields}
        answer = await self.client.post(
            "/api/v1/models/upload", data={"name": name}, files=files, headers=self.headers
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def predict(self, model: str, body, **headers):
        return await self.client.post(f"/api/v1/predict/{model}", json=body, headers=self.headers | headers)


def joblib_bytes(model) -> bytes:
    written = io.BytesIO()
    joblib.dump(model, written)
    return written.getvalue()


async def test_a_model_trained_on_a_frame_answers_a_named_row(send):
    model = await send.upload("iris", pickle.dumps(ON_FRAME))

    answer = await send.predict(model["id"], {"input": SETOSA})

    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["prediction"], shown["model"], shown["version"]) == ("setosa", "iris", 1)
    assert (shown["cached"], "warnings" in shown) == (False, False)
    assert answer.headers["x-request-id"]
    assert {part.split(";")[0] for part in answer.headers["server-timing"].split(", ")} == {
        "queue",
        "compute",
        "total",
    }


async def test_a_model_trained_on_an_array_takes_the_keys_in_order_and_says_so(send):
    await send.upload("iris", joblib_bytes(ON_ARRAY))

    shown = (await send.predict("iris", {"input": SETOSA})).json()

    assert shown["prediction"] == 0
    assert "in the order given" in shown["warnings"][0]


async def test_rows_are_answered_in_order_with_probabilities_by_class(send):
    await send.upload("iris", pickle.dumps(ON_FRAME))
    rows = FLOWERS.iloc[[0, 60, 120]]

    body = {"inputs": rows.to_dict("records"), "outputs": ["label", "probabilities"]}
    shown = (await send.predict("iris", body)).json()

    assert shown["predictions"] == ON_FRAME.predict(rows).tolist()
    expected = ON_FRAME.predict_proba(rows)
    answered = [[row[name] for name in ON_FRAME.classes_] for row in shown["probabilities"]]
    np.testing.assert_allclose(answered, expected, atol=1e-12)


async def test_bare_arrays_are_rows_too(send):
    X, y = load_diabetes(return_X_y=True)
    model = LinearRegression().fit(X, y)
    await send.upload("diabetes", joblib_bytes(model))

    shown = (await send.predict("diabetes", {"inputs": X[:4].tolist()})).json()

    np.testing.assert_allclose(shown["predictions"], model.predict(X[:4]))


async def test_the_example_request_of_an_upload_works_as_it_is(send):
    model = await send.upload("iris", pickle.dumps(ON_FRAME))

    assert (await send.predict("iris", model["example_request"])).status_code == 200


async def test_the_next_version_serves_and_the_one_before_can_be_asked_for(send):
    await send.upload("iris", pickle.dumps(ON_FRAME))
    assert (await send.predict("iris", {"input": SETOSA})).json()["version"] == 1
    await send.upload("iris", joblib_bytes(ON_ARRAY))

    newest = (await send.predict("iris", {"input": SETOSA})).json()
    before = (await send.predict("iris", {"input": SETOSA, "version": 1})).json()

    assert (newest["version"], newest["prediction"]) == (2, 0)
    assert (before["version"], before["prediction"]) == (1, "setosa")


async def test_after_a_rollback_the_version_before_serves_at_once(send):
    await send.upload("iris", pickle.dumps(ON_FRAME))
    await send.upload("iris", joblib_bytes(ON_ARRAY))
    assert (await send.predict("iris", {"input": SETOSA})).json()["version"] == 2

    await send.client.post("/api/v1/models/iris/rollback", headers=send.headers)

    assert (await send.predict("iris", {"input": SETOSA})).json()["version"] == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "malformed_request"),
        ({"input": SETOSA, "inputs": [SETOSA]}, 400, "malformed_request"),
        ({"inputs": []}, 422, "input_mismatch"),
        ({"input": {"sepal_length": 5.1}}, 422, "input_mismatch"),
        ({"input": SETOSA | {"sepal_width": "wide"}}, 422, "input_mismatch"),
        ({"inputs": [[1, 2, 3]]}, 422, "input_mismatch"),
        ({"input": 5}, 422, "invalid_input"),
        ({"input": SETOSA, "colour": "red"}, 422, "invalid_input"),
        ({"input": SETOSA, "version": 0}, 422, "invalid_input"),
        ({"input": SETOSA, "version": 99}, 404, "version_not_found"),
        ({"input": SETOSA, "outputs": ["entropy"]}, 422, "invalid_input"),
        ({"input": SETOSA, "outputs": []}, 422, "invalid_input"),
        ([], 422, "invalid_input"),
    ],
    ids=str,
)
async def test_a_wrong_request_is_told_what_is_wrong(client, account, served, body, status, code):
    await served("iris")

    answer = await client.post("/api/v1/predict/iris", json=body, headers=account.headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == "/api/v1/predict/iris"


async def test_a_fault_names_its_column_and_row(client, account, served):
    await served("iris")
    good = {"sepal_length": 1, "sepal_width": 2}
    body = {"inputs": [good, good | {"sepal_width": "wide"}]}

    problem = (await client.post("/api/v1/predict/iris", json=body, headers=account.headers)).json()

    assert problem["errors"] == [
        {"message": "expected a number, got the text 'wide'", "column": "sepal_width", "row": 1}
    ]


NO_JSON = {
    "nothing": b"",
    "half": b"{",
    "bytes": b"\xff\xfe",
    "nan": b'{"input": {"a": NaN}}',
    "deep": b'{"input": ' + b"[" * 100_000,
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
async def test_a_body_that_is_no_json_is_refused(client, account, served, body):
    await served("iris")

    answer = await client.post("/api/v1/predict/iris", content=body, headers=account.headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


async def test_a_body_over_the_limit_is_refused_by_its_size(client, account, served):
    await served("iris")

    answer = await client.post(
        "/api/v1/predict/iris", content=b" " * (16 * 1024 * 1024 + 1), headers=account.headers
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_model_of_another_tenant_is_not_there(client, stranger, served):
    await served("iris")

    answer = await client.post("/api/v1/predict/iris", json={"input": {}}, headers=stranger.headers)

    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")


async def test_a_model_still_being_validated_cannot_serve_yet(client, account, upload):
    await upload("iris")

    answer = await client.post("/api/v1/predict/iris", json={"input": {}}, headers=account.headers)

    assert (answer.status_code, answer.json()["code"]) == (409, "version_not_servable")


async def test_without_a_worker_the_model_is_loading_and_the_client_told_when_to_return(
    client, account, served
):
    await served("iris")
    row = {"sepal_length": 1, "sepal_width": 2}

    answer = await client.post(
        "/api/v1/predict/iris", json={"input": row}, headers=account.headers | {"X-Deadline-Ms": "200"}
    )

    assert (answer.status_code, answer.json()["code"]) == (503, "model_loading")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("deadline", ["0", "-1", "soon", "1.5", ""])
async def test_a_deadline_that_is_none_is_refused(client, account, served, deadline):
    await served("iris")
    row = {"sepal_length": 1, "sepal_width": 2}

    answer = await client.post(
        "/api/v1/predict/iris", json={"input": row}, headers=account.headers | {"X-Deadline-Ms": deadline}
    )

    assert answer.status_code == 400


async def test_without_a_token_nobody_is_answered(client):
    answer = await client.post("/api/v1/predict/iris", json={})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_the_route_takes_posts_alone(client, account):
    answer = await client.get("/api/v1/predict/iris", headers=account.headers)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/api/v1/predict", "/api/v1/predict/", "/api/v1/predict/a/b"])
async def test_a_path_without_one_model_leads_nowhere(client, account, path):
    assert (await client.post(path, json={}, headers=account.headers)).status_code == 404


async def test_the_route_stands_in_the_openapi_document(client):
    document = (await client.get("/openapi.json")).json()

    operation = document["paths"]["/api/v1/predict/{model}"]["post"]
    content = operation["requestBody"]["content"]
    assert content["application/json"]["schema"]["oneOf"] == [
        {"$ref": "#/components/schemas/PredictRequest"},
        {"$ref": "#/components/schemas/InferenceRequest"},
    ]
    assert {"application/vnd.apache.arrow.stream", "application/octet-stream"} < content.keys()
    assert document["components"]["schemas"]["PredictRequest"]["additionalProperties"] is False
    later = operation["responses"]["202"]
    assert later["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/JobView"}
    assert "JobView" in document["components"]["schemas"]
    assert {"Location", "Preference-Applied"} == later["headers"].keys()
    assert {"Prefer", "Idempotency-Key"} < {parameter["name"] for parameter in operation["parameters"]}


async def test_columns_that_a_model_does_not_take_are_refused_once_its_owner_says_so(send):
    model = await send.upload("iris", pickle.dumps(ON_FRAME))
    body = {"input": SETOSA | {"colour": "blue"}}
    ignored = await send.predict("iris", body)

    settings = {"settings": {"extra_columns": "refuse"}}
    await send.client.patch(f"/api/v1/models/{model['id']}", json=settings, headers=send.headers)
    refused = await send.predict("iris", body)

    assert (ignored.status_code, "'colour'" in ignored.json()["warnings"][0]) == (200, True)
    assert (refused.status_code, refused.json()["code"]) == (422, "input_mismatch")
    assert refused.json()["errors"][0]["column"] == "colour"
    assert (await send.predict("iris", {"input": SETOSA})).status_code == 200
