"""Wherever a request goes wrong, the answer is a problem with an id; all answers forbid browsers the same.

One test for many requests each: the application takes longer to start than to answer."""

import re

from litestar.routes import HTTPRoute

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND")
PREDICT = "/api/v1/predict/{model:str}"
SAFETY = {
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "content-security-policy",
    "cross-origin-resource-policy",
    "cross-origin-opener-policy",
    "x-request-id",
}
HEAD_OF_ITS_OWN = {"/api/v1/uploads/{upload:str}"}
ALIKE = ("Content-Type", "Content-Length", "Cache-Control", "ETag", "Location")
BROKEN_FORMS = {"multipart/form-data": b"x", "multipart/form-data; boundary=x": b"--x\r\nnonsense"}
# By method and path: what is sent, and the status. All with credentials.
WRONG = [
    ("GET", "/docs/nothing", {}, 404),
    ("GET", "/static/nothing", {}, 404),
    ("GET", "/api/v1/models/%F0%9F", {}, 404),
    ("GET", "/api/v1/nothing", {}, 404),
    ("HEAD", "/nothing", {}, 404),
    ("OPTIONS", "/nothing", {}, 404),
    ("POST", "/api/v1/predict/", {}, 404),
    ("POST", "/api/v1/predict/a/b", {}, 404),
    ("POST", "/api/v1/predict/none", {"content": b"{"}, 404),
    ("GET", "/api/v1/jobs?limit=x", {}, 422),
    ("POST", "/api/v1/models/upload", {"headers": {"Content-Type": "text/plain"}, "content": b"x"}, 415),
    ("POST", "/api/v1/auth/login", {"content": b'{"a":'}, 400),
    ("POST", "/api/v1/auth/login", {"content": b" " * 1_100_000}, 413),
    ("POST", "/api/v1/predict/none", {"content": b" " * 17_000_000}, 413),
    *[
        ("POST", path, {"headers": {"Content-Type": kind}, "content": content}, 400)
        for path in ("/api/v1/models/upload", "/api/v1/jobs")
        for kind, content in BROKEN_FORMS.items()
    ],
]


def assert_problem(answer, status):
    assert answer.status_code == status, (answer.request.method, answer.request.url)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers.keys() >= SAFETY
    if answer.request.method != "HEAD":
        body = answer.json()
        assert body["status"] == status
        assert body["request_id"] == answer.headers["X-Request-Id"]
        assert len(body["detail"]) > len(body["title"])  # it says more than the status


def filled(path):
    return re.sub(r"\{\w+:int\}", "1", re.sub(r"\{\w+:(str|path)\}", "x", path))


async def test_every_address_answers_a_method_that_it_does_not_take_with_those_that_it_takes(
    app, client, account
):
    walked = 0
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        if route.path == "/docs/{path:str}":
            continue  # no address: see below
        for method in set(METHODS) - route.methods:
            answer = await client.request(method, filled(route.path), headers=account.headers)

            assert_problem(answer, 405)
            # Where Litestar describes predict, it does not answer it.
            allowed = {"POST"} if route.path == PREDICT else route.methods
            assert set(answer.headers["Allow"].split(", ")) == allowed, route.path
            walked += 1
    assert walked > 200


async def test_head_answers_as_get_does_without_the_content(app, client, account):
    walked = 0
    for route in app.routes:
        if {"GET", "HEAD"} <= route.methods and route.path not in HEAD_OF_ITS_OWN:
            got = await client.get(filled(route.path), headers=account.headers)
            head = await client.head(filled(route.path), headers=account.headers)

            assert (head.status_code, head.content) == (got.status_code, b""), route.path
            if route.path != "/metrics":  # which counts the questions
                assert {name: head.headers.get(name) for name in ALIKE} == {
                    name: got.headers.get(name) for name in ALIKE
                }, route.path
            walked += 1
    assert walked > 30


async def test_what_goes_wrong_is_a_problem(client, account):
    for method, path, sent, status in WRONG:
        headers = {**account.headers, **sent.get("headers", {})}

        assert_problem(await client.request(method, path, **{**sent, "headers": headers}), status)


async def test_every_page_forbids_browsers_what_it_does_not_need(client):
    for path in ("/", "/docs", "/redoc", "/openapi.json", "/static/docs.js", "/livez", "/readyz", "/metrics"):
        answer = await client.get(path)

        assert answer.headers.keys() >= SAFETY, path
        policy = answer.headers["Content-Security-Policy"]
        assert "'unsafe-inline'" not in policy.replace("style-src 'self' 'unsafe-inline'", "")
        assert "frame-ancestors 'none'" in policy
        if path in {"/docs", "/redoc"}:  # no script of the page's own
            assert (
                re.findall(r"<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=|javascript:", answer.text) == []
            )


async def test_answers_with_secrets_are_kept_by_nobody(client, account):
    made = await client.post("/api/v1/api-keys", json={"name": "x"}, headers=account.headers)
    read = await client.get("/api/v1/webhooks/secret", headers=account.headers)

    assert (made.status_code, read.status_code) == (201, 200)
    assert made.headers["Cache-Control"] == read.headers["Cache-Control"] == "no-store"
