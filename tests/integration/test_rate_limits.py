"""Limits as clients meet them."""

import msgspec
import pytest

ME = "/api/v1/auth/me"
MODELS = "/api/v1/models"
LOGIN = "/api/v1/auth/login"


@pytest.fixture
def settings(settings):
    """So few that a test can use them up. An interval is so long that none comes back meanwhile."""
    return msgspec.structs.replace(
        settings,
        read_per_minute=2,
        write_per_minute=2,
        upload_per_minute=1,
        predict_per_minute=1,
        login_per_minute=1,
        login_address_per_minute=2,
        trusted_proxies="127.0.0.0/8",
    )


async def log_in(client, email, **headers):
    credentials = {"email": email, "password": "not the password"}
    return await client.post(LOGIN, json=credentials, headers=headers)


async def test_every_answer_says_what_is_left(client, account):
    answer = await client.get(ME, headers=account.headers)
    missing = await client.get(f"{MODELS}/none", headers=account.headers)

    assert answer.headers["RateLimit-Policy"] == '"read";q=2;w=60'
    assert answer.headers["RateLimit"] == '"read";r=1;t=30'
    assert missing.status_code == 404
    assert missing.headers["RateLimit"].startswith('"read";r=0;t=')


async def test_one_too_many_is_told_when_to_come_back(client, account):
    for _ in range(2):
        assert (await client.get(ME, headers=account.headers)).status_code == 200

    answer = await client.get(ME, headers=account.headers)

    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 30
    assert answer.headers["RateLimit"] == f'"read";r=0;t={answer.headers["Retry-After"]}'
    assert answer.headers["RateLimit-Policy"] == '"read";q=2;w=60'
    assert answer.headers.get_list("RateLimit") == [answer.headers["RateLimit"]]


async def test_reading_writing_and_uploading_are_counted_apart(client, account):
    upload = {"files": {"file": ("m.pkl", b"x")}, "data": {"name": "iris"}}
    waitless = {**account.headers, "Prefer": "wait=0"}

    answers = [
        await client.post("/api/v1/api-keys", json={"name": "a"}, headers=account.headers),
        await client.post(f"{MODELS}/upload", **upload, headers=waitless),
        await client.post(f"{MODELS}/upload", **upload, headers=waitless),
        await client.get(MODELS, headers=account.headers),
    ]

    assert [answer.status_code for answer in answers] == [201, 201, 429, 200]
    assert [answer.headers["RateLimit"].partition(";")[0] for answer in answers] == [
        '"write"',
        '"upload"',
        '"upload"',
        '"read"',
    ]


async def test_callers_do_not_use_up_each_others_limits(client, account, stranger):
    key = (await client.post("/api/v1/api-keys", json={"name": "a"}, headers=account.headers)).json()
    for _ in range(3):
        last = await client.get(ME, headers=account.headers)

    with_key = await client.get(ME, headers={"X-API-Key": key["secret"]})
    other = await client.get(ME, headers=stranger.headers)

    assert (last.status_code, with_key.status_code, other.status_code) == (429, 200, 200)


async def test_predictions_are_not_counted_here(client, account):
    for _ in range(3):
        answer = await client.post("/api/v1/predict/none", json={"input": [1]}, headers=account.headers)

    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/livez", "/docs", "/openapi.json", "/static/docs.js"])
async def test_health_and_documentation_are_not_limited(client, path):
    answers = [await client.get(path) for _ in range(5)]

    assert {answer.status_code for answer in answers} == {200}
    assert all("RateLimit" not in answer.headers for answer in answers)


async def test_passwords_of_one_account_can_be_tried_so_often(client):
    answers = [await log_in(client, "ada@example.com") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [401, 429]
    assert answers[0].headers["RateLimit-Policy"] == '"login-address";q=2;w=60, "login";q=1;w=60'
    assert answers[0].headers["RateLimit"] == '"login-address";r=1;t=30, "login";r=0;t=60'


async def test_one_address_can_try_so_many_accounts(client):
    answers = [await log_in(client, f"{number}@example.com") for number in range(3)]

    assert [answer.status_code for answer in answers] == [401, 401, 429]


async def test_nobody_can_lock_others_out_of_their_account(client):
    for _ in range(2):
        await log_in(client, "ada@example.com", **{"X-Forwarded-For": "203.0.113.9"})

    answer = await log_in(client, "ada@example.com", **{"X-Forwarded-For": "198.51.100.7"})

    assert answer.status_code == 401


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'{"email": 5}', b'{"email": "\xff"}'])
async def test_a_log_in_that_cannot_be_read_is_counted_and_refused(client, body):
    answers = [await client.post(LOGIN, content=body) for _ in range(3)]

    assert [answer.status_code for answer in answers[:2]] in ([400] * 2, [422] * 2)
    assert answers[2].status_code == 429


async def test_without_redis_there_is_no_logging_in_but_all_else(app, client, account):
    async def fails(*_):
        raise ConnectionError

    app.state.rate_limiter._script = fails  # a Redis that is away, for this one purpose

    assert (await client.get(ME, headers=account.headers)).status_code == 200
    refused = await log_in(client, "ada@example.com")
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert app.state.rate_limiter.failed_open == 1


async def test_a_prediction_for_later_counts_as_an_upload(client, account, served):
    await served("iris")  # the one upload of this minute
    later = account.headers | {"Prefer": "respond-async"}

    answer = await client.post("/api/v1/predict/iris", json={"input": [5.1, 3.5]}, headers=later)

    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert answer.headers["RateLimit-Policy"] == '"upload";q=1;w=60'
    assert int(answer.headers["Retry-After"]) >= 1
