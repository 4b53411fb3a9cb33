"""What API keys may do and for how long: scopes, expiry, rotation, limits, and changes of these."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import func, update

from api.credentials import Credentials
from shared.access.api_keys import ApiKeys
from shared.access.caller import Caller
from shared.access.key_terms import KeyTerms
from shared.access.known_key import InvalidKey, KeyExpired
from shared.access.messages import AccessNews, follow_access
from shared.access.permissions import Role, Scope
from shared.access.tables import ApiKeyRow
from shared.access.tokens import AccessTokens
from shared.clock import utc_now

KEYS = "/api/v1/api-keys"
ME = "/api/v1/auth/me"
NOWHERE = "01890a5d-ac96-774b-bcce-b302099a8057"
# Method, path, what it takes; see docs/reference/scopes.md.
SAMPLE = [
    ("POST", "/api/v1/predict/none", {"predict"}),
    ("POST", "/api/v1/predict/none later", {"predict", "jobs"}),
    ("GET", "/api/v1/jobs", {"jobs"}),
    ("POST", f"/api/v1/jobs/{NOWHERE}/cancel", {"jobs"}),
    ("POST", "/api/v1/schedules", {"jobs"}),
    ("GET", "/api/v1/uploads", {"jobs"}),
    ("GET", "/api/v1/models", {"models:read"}),
    ("GET", "/api/v1/models/none/versions/1/artifact", {"models:read"}),
    ("POST", "/api/v1/models/upload", {"models:write"}),
    ("DELETE", "/api/v1/models/none", {"models:write"}),
    ("GET", "/api/v1/models/none/analytics", {"analytics"}),
    ("GET", "/api/v1/webhooks/secret", {"webhooks"}),
    ("GET", ME, set()),
]


@pytest.fixture
def api(client, account):
    """Calls the API as the account."""

    async def call(method, path, *, status, **body):
        answer = await client.request(method, path, json=body or None, headers=account.headers)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    return call


@pytest.fixture
def new_credentials(settings, database):
    """The memory of one more process, which no message reaches."""

    def make(**changes):
        changed = msgspec.structs.replace(settings, **changes)
        return Credentials(changed, database, AccessTokens(settings.secret_key, ttl_s=900))

    return make


async def set_times(database, **times):
    """Let the key have been given these times, in seconds from now."""
    values = {name: func.now() + timedelta(seconds=left_s) for name, left_s in times.items()}
    async with database.transaction() as session:
        await session.execute(update(ApiKeyRow).values(**values))


async def refused_with(credentials, secret):
    try:
        await credentials.verify(secret.encode())
    except (InvalidKey, KeyExpired) as error:
        return error.code
    return None


async def test_a_key_shows_its_terms_from_the_first_answer_on(api, served):
    model = await served("iris")
    until = (utc_now() + timedelta(days=30)).isoformat().replace("+00:00", "Z")
    terms = {"scopes": ["models:read", "predict"], "expires_at": until, "rate_limit": 50}

    made = await api("POST", KEYS, status=201, name="shop", models=["iris", model["id"]], **terms)

    assert {name: made[name] for name in terms} == terms
    assert made["models"] == [model["id"]]
    assert await api("GET", f"{KEYS}/{made['id']}", status=200) == {
        name: value for name, value in made.items() if name != "secret"
    }


async def test_terms_that_do_not_fit_are_refused_with_their_place(api):
    for terms, pointer in [
        ({"scopes": ["everything"]}, "/scopes"),
        ({"scopes": []}, "/scopes"),
        ({"models": ["unknown"]}, "/models/0"),
        ({"models": []}, "/models"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "/expires_at"),
        ({"rate_limit": 0}, "/rate_limit"),
        ({"rate_limit": 100_000_000}, "/rate_limit"),
    ]:
        refused = await api("POST", KEYS, status=422, name="shop", **terms)

        assert refused["errors"][0]["pointer"].startswith(pointer), terms


async def test_another_tenants_model_cannot_be_granted(client, stranger, served):
    model = await served("iris")

    for called in ("iris", model["id"]):
        body = {"name": "thief", "models": [called]}
        answer = await client.post(KEYS, json=body, headers=stranger.headers)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/models/0")


async def test_each_scope_opens_its_routes_and_no_other(client, api):
    wrong = {}
    for scope in Scope:
        key = await api("POST", KEYS, status=201, name=scope, scopes=[scope])
        for method, path, needed in SAMPLE:
            headers = {"X-API-Key": key["secret"], "X-Deadline-Ms": "50"}
            address, _, later = path.partition(" ")
            if later:
                headers["Prefer"] = "respond-async"
            answer = await client.request(method, address, headers=headers)
            code = answer.json()["code"] if answer.status_code == 403 else None
            if code != (None if needed <= {scope} else "scope_missing"):
                wrong[scope, method, path] = code

    assert wrong == {}


async def test_a_change_holds_at_once_here_and_by_a_message_elsewhere(client, api, new_credentials, redis):
    key = await api("POST", KEYS, status=201, name="shop", scopes=["predict"])
    secret, headers = key["secret"].encode(), {"X-API-Key": key["secret"]}
    other = new_credentials(credential_ttl_s=3600)  # without a message it would not ask again for an hour
    news = follow_access(redis, other)
    news.start()
    assert (await client.get("/api/v1/models", headers=headers)).status_code == 403
    assert (await other.verify(secret)).scopes == {Scope.PREDICT}

    changed = await api("PATCH", f"{KEYS}/{key['id']}", status=200, scopes=["models:read"], name="b")

    assert (changed["scopes"], changed["name"]) == (["models:read"], "b")
    assert (await client.get("/api/v1/models", headers=headers)).status_code == 200
    async with asyncio.timeout(30):
        while (other.known(secret) or await other.verify(secret)).scopes != {Scope.MODELS_READ}:
            await asyncio.sleep(0.01)
    await news.close()


async def test_a_change_of_nothing_is_refused(client, api, account):
    key = await api("POST", KEYS, status=201, name="shop")

    answer = await client.patch(f"{KEYS}/{key['id']}", json={}, headers=account.headers)

    assert answer.status_code == 422


async def test_a_known_key_stops_when_it_expires_however_long_it_is_remembered(
    api, new_credentials, database
):
    secret = (await api("POST", KEYS, status=201, name="shop"))["secret"]
    credentials = new_credentials(credential_ttl_s=3600, credential_grace_s=3600)
    await set_times(database, expires_at=1)
    await credentials.verify(secret.encode())

    await asyncio.sleep(1.1)  # until its time is over: that is what is tested

    assert credentials.known(secret.encode()) is None
    assert await refused_with(credentials, secret) == "api_key_expired"


async def test_an_expired_key_is_refused_by_the_api_and_lives_again_when_it_gets_more_time(
    client, api, database
):
    key = await api("POST", KEYS, status=201, name="shop")
    headers = {"X-API-Key": key["secret"]}
    await set_times(database, expires_at=-1)

    answer = await client.get(ME, headers=headers)
    later = (utc_now() + timedelta(days=1)).isoformat()
    await api("PATCH", f"{KEYS}/{key['id']}", status=200, expires_at=later)

    assert (answer.status_code, answer.json()["code"]) == (401, "api_key_expired")
    assert (await client.get(ME, headers=headers)).status_code == 200


async def test_after_a_rotation_both_secrets_work_and_after_the_next_the_oldest_does_not(
    api, new_credentials, database
):
    key = await api("POST", KEYS, status=201, name="shop")

    second = await api("POST", f"{KEYS}/{key['id']}/rotate", status=200)
    third = await api("POST", f"{KEYS}/{key['id']}/rotate", status=200, grace_seconds=60)

    secrets = [key["secret"], second["secret"], third["secret"]]
    fresh = new_credentials()
    assert [await refused_with(fresh, secret) for secret in secrets] == ["invalid_api_key", None, None]
    assert {each["id"] for each in (key, second, third)} == {key["id"]}
    (listed,) = (await api("GET", KEYS, status=200))["items"]
    assert listed["previous_expires_at"] == third["previous_expires_at"] > third["created_at"]
    await set_times(database, previous_expires_at=0)
    ended = [await refused_with(new_credentials(), secret) for secret in secrets]
    assert ended == ["invalid_api_key", "api_key_expired", None]


async def test_a_rotation_without_grace_ends_the_secret_at_once(client, api):
    key = await api("POST", KEYS, status=201, name="shop")
    headers = {"X-API-Key": key["secret"]}
    assert (await client.get(ME, headers=headers)).status_code == 200

    rotated = await api("POST", f"{KEYS}/{key['id']}/rotate", status=200, grace_seconds=0)

    answer = await client.get(ME, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "api_key_expired")
    assert (await client.get(ME, headers={"X-API-Key": rotated["secret"]})).status_code == 200


async def test_a_limit_of_its_own_counts_over_processes_for_each_kind_of_requests(client, api):
    key = await api("POST", KEYS, status=201, name="shop", rate_limit=2)
    headers = {"X-API-Key": key["secret"]}

    answers = [await client.get("/api/v1/models", headers=headers) for _ in range(3)]
    predicted = await client.post("/api/v1/predict/none", json={"input": {}}, headers=headers)

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"read";q=2;w=60'}
    assert predicted.status_code == 404  # of another kind, and not counted with these


async def test_members_manage_their_own_keys_and_admins_all_but_no_one_gets_anothers_secret(
    settings, database, redis, account, make_account, new_credentials
):
    keys = ApiKeys(settings, database, AccessNews(redis, new_credentials()))
    owner = Caller(user_id=account.user_id, tenant_id=account.tenant_id)
    colleague = (await make_account()).user_id  # whose membership is what the caller says
    member = Caller(user_id=colleague, tenant_id=account.tenant_id, role=Role.MEMBER)
    admin = msgspec.structs.replace(member, role=Role.ADMIN)
    made = await keys.create(owner, name="of the owner")
    own = await keys.create(member, name="of the member", terms=KeyTerms(scopes=frozenset({Scope.JOBS})))

    seen = [
        {row.name for row in await keys.list_keys(caller, before=None, limit=9)} for caller in (member, admin)
    ]

    assert seen == [{"of the member"}, {"of the member", "of the owner"}]
    for attempt in (keys.get, keys.rotate, keys.revoke):
        with pytest.raises(Exception, match="no API key has the id"):
            await attempt(member, str(made.row.id))
    with pytest.raises(Exception, match="only whoever made the key"):
        await keys.rotate(admin, str(made.row.id))
    await keys.rotate(member, str(own.row.id))
    await keys.revoke(admin, str(made.row.id))
