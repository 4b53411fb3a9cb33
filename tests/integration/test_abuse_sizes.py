"""More of everything than anybody needs: each is answered, with a problem that says what is too much."""

import json

import msgspec
import pytest

MIB = 2**20
DEEP, LONG = 100_000, 300_000
# Bodies of less than 1 MiB, so that they are read and not just counted.
BODIES = {
    "arrays in arrays": b"[" * DEEP + b"]" * DEEP,
    "arrays without end": b"[" * 900_000,
    "objects in objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a long array": b"[" + b"1," * LONG + b"1]",
    "a long number": b'{"limit":' + b"9" * 900_000 + b"}",
    "a large exponent": b'{"limit":1e999999999}',
    "many fields": b"{" + b",".join(b'"f%d":1' % number for number in range(60_000)) + b"}",
    "more than is taken": b'{"name":"' + b"x" * (17 * MIB) + b'"}',
}
LIMITS = ("-1", "1e3", "9" * 400, "1e400", "nan", "1000000", "\u0661")


@pytest.fixture
def settings(settings):
    unlimited = {name: 0 for name in settings.__struct_fields__ if name.endswith("_per_minute")}
    return msgspec.structs.replace(settings, **unlimited)


def routes(app, part):
    """Method, path and description of those that have this part."""
    for path, methods in app.openapi_schema.to_schema()["paths"].items():
        for method, described in methods.items():
            if described.get(part):
                yield method.upper(), path, described


def filled(path):
    return path.replace("{number}", "1").replace("{", "").replace("}", "")


def assert_problem(answer, told):
    assert 400 <= answer.status_code < 500, (told, answer.status_code, answer.text[:300])
    assert answer.headers["Content-Type"] == "application/problem+json", told
    assert len(answer.content) < 4096, told  # what was sent does not come back


async def test_every_route_refuses_json_that_is_too_deep_too_long_or_too_large(app, client, account):
    walked = 0
    for method, path, described in routes(app, "requestBody"):
        if "application/json" not in described["requestBody"]["content"]:
            continue
        for name, content in BODIES.items():
            headers = account.headers | {"Content-Type": "application/json"}
            answer = await client.request(method, filled(path), content=content, headers=headers)

            assert_problem(answer, (method, path, name))
        walked += 1
    assert walked > 20


async def test_predict_refuses_rows_that_are_too_deep_too_long_or_too_large(client, account, served):
    await served("iris")
    for name, value in {
        "a deep row": b"[" * DEEP + b"]" * DEEP,
        "a long row": b"[" + b"1," * 1_000_000 + b"1]",
        "many rows": b"[" + b"[1,2]," * 300_000 + b"[1,2]]",
        "a long number": b"[" + b"9" * MIB + b",1]",
        "a large exponent": b"[1e99999999999999999999, 1]",
        "a small one": b"[1e-99999999999999999999, " + b"[" * 50 + b"]" * 50 + b"]",
    }.items():
        content = b'{"input": ' + value + b"}"
        answer = await client.post("/api/v1/predict/iris", content=content, headers=account.headers)

        assert_problem(answer, name)


async def test_a_list_has_a_most_and_says_so(app, client, account):
    walked = 0
    for method, path, described in routes(app, "parameters"):
        if method != "GET" or "limit" not in {each["name"] for each in described["parameters"]}:
            continue
        for limit in LIMITS:
            answer = await client.get(filled(path), params={"limit": limit}, headers=account.headers)

            assert answer.status_code in {404, 422}, (path, limit, answer.text[:300])
        walked += 1
    assert walked > 10


async def test_parameters_fields_and_parts_without_end_are_refused_or_passed_over(client, account, served):
    await served("iris")
    listed = await client.get("/api/v1/models?" + "limit=1&" * 7_000, headers=account.headers)
    form = "&".join(f"f{number}=1" for number in range(100_000))
    urlencoded = {"Content-Type": "application/x-www-form-urlencoded"}
    by_form = await client.post("/api/v1/jobs", content=form, headers=account.headers | urlencoded)
    part = b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n'
    parts = b"".join(part % number for number in range(100_000)) + b"--x--\r\n"
    multipart = account.headers | {"Content-Type": "multipart/form-data; boundary=x"}

    assert listed.status_code in {200, 422}
    assert_problem(by_form, "a form")
    for path in ("/api/v1/jobs", "/api/v1/models/upload"):
        assert_problem(await client.post(path, content=parts, headers=multipart), path)


async def test_a_long_text_is_refused_by_its_length(client, account):
    for path, field in (("api-keys", "name"), ("organizations", "name"), ("uploads", "file_name")):
        body = json.dumps({field: "x" * 500_000})
        headers = account.headers | {"Content-Type": "application/json"}

        assert_problem(await client.post(f"/api/v1/{path}", content=body, headers=headers), path)
