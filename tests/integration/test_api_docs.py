"""The documentation pages work with no internet, and the document tells everything."""

import re

import pytest

HTTP_METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
async def document(client):
    return (await client.get("/openapi.json")).json()


def operations(document):
    return [
        (method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in HTTP_METHODS
    ]


async def test_the_front_door_leads_to_the_documentation(client):
    answer = await client.get("/", follow_redirects=True)

    assert answer.url.path == "/docs"
    assert answer.status_code == 200


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_a_page_loads_nothing_from_elsewhere(client, page):
    answer = await client.get(page)

    links = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert len(links) >= 3
    assert all(link.startswith("/static/") for link in links)
    for link in links:
        assert (await client.get(link)).status_code == 200
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


async def test_the_document_is_the_same_wherever_it_is_asked_for(client):
    beside, below = [await client.get(path) for path in ("/openapi.json", "/docs/openapi.json")]

    assert beside.headers["content-type"] == "application/json"
    assert below.headers["content-type"].startswith("application/")
    assert beside.content == below.content
    assert (await client.get("/docs")).headers["content-type"].startswith("text/html")


async def test_no_example_is_made_of_random_letters(document):
    assert not [name for name, schema in document["components"]["schemas"].items() if "examples" in schema]


async def test_static_files_are_only_those(client):
    for path in ("/static/../docs.py", "/static/%2e%2e/docs.py", "/static/vendor", "/static/none.js"):
        assert (await client.get(path)).status_code == 404


async def test_every_operation_says_what_it_does_and_how_it_fails(document):
    for method, path, operation in operations(document):
        assert operation.get("description"), (method, path)
        assert operation.get("tags"), (method, path)
        if path.startswith("/api/"):
            problems = [
                response
                for status, response in operation["responses"].items()
                if int(status) >= 400 and "application/problem+json" in response["content"]
            ]
            assert len(problems) == len([s for s in operation["responses"] if int(s) >= 400]), (method, path)


async def test_every_operation_of_the_api_says_what_any_of_its_kind_refuses(document):
    for method, path, operation in operations(document):
        if path.startswith("/api/"):
            needed = {"400", "414", "422", "429", "503"}
            needed |= {"401", "403"} if operation.get("security") != [{}] else set()
            needed |= {"413"} if "requestBody" in operation else set()
            assert needed <= operation["responses"].keys(), (method, path)


async def test_what_needs_no_token_says_so(document):
    open_to_all = {path for _, path, operation in operations(document) if operation.get("security") == [{}]}

    assert open_to_all == {
        "/livez",
        "/readyz",
        "/metrics",
        "/api/v1/auth/register",
        "/api/v1/auth/login",
        "/api/v1/auth/refresh",
        "/api/v1/auth/logout",
        "/api/v1/auth/oidc",
        "/api/v1/auth/oidc/callback",
        "/api/v1/auth/password-reset",
        "/api/v1/auth/password-reset/confirm",
    }
    assert document["security"] == [{"access_token": []}, {"api_key": []}, {"session_cookie": []}]
    schemes = document["components"]["securitySchemes"]
    assert schemes["access_token"]["scheme"] == "bearer"
    assert (schemes["api_key"]["in"], schemes["api_key"]["name"]) == ("header", "X-API-Key")
    cookie = schemes["session_cookie"]
    assert (cookie["type"], cookie["in"], cookie["name"]) == ("apiKey", "cookie", "modelyard_session")


async def test_what_needs_a_log_in_says_so(document):
    logged_in = [{"access_token": []}, {"session_cookie": []}]
    session_only = {path for _, path, each in operations(document) if each.get("security") == logged_in}

    assert session_only == {
        "/api/v1/api-keys",
        "/api/v1/api-keys/{key}",
        "/api/v1/api-keys/{key}/rotate",
        "/api/v1/auth/csrf",
        "/api/v1/auth/logout-everywhere",
        "/api/v1/auth/me",
        "/api/v1/auth/password",
        "/api/v1/auth/sessions",
        "/api/v1/auth/sessions/{session}",
        "/api/v1/auth/oidc/link",
        "/api/v1/auth/switch",
        "/api/v1/invitations/accept",
        "/api/v1/organization",
        "/api/v1/organization/invitations",
        "/api/v1/organization/invitations/{invitation}",
        "/api/v1/organization/invitations/{invitation}/resend",
        "/api/v1/organization/leave",
        "/api/v1/organization/members",
        "/api/v1/organization/members/{user}",
        "/api/v1/organization/transfer",
        "/api/v1/organizations",
    }


async def test_uploads_are_described(document):
    form = document["paths"]["/api/v1/models/upload"]["post"]["requestBody"]["content"]["multipart/form-data"]
    body = document["paths"]["/api/v1/models/{model}/versions"]["put"]["requestBody"]["content"]

    assert set(form["schema"]["properties"]) == {"file", "name", "model_type", "description", "sample"}
    assert form["schema"]["required"] == ["file", "name"]
    assert "application/octet-stream" in body


async def test_a_body_that_may_be_left_out_says_so(document):
    left_out = {
        path
        for _, path, operation in operations(document)
        if not operation.get("requestBody", {"required": True})["required"]
    }

    assert left_out == {
        "/api/v1/api-keys/{key}/rotate",
        "/api/v1/uploads",
        "/api/v1/uploads/{upload}",  # as empty as one of no bytes
    }


async def test_the_first_bodies_that_a_newcomer_needs_have_examples(document):
    schemas = document["components"]["schemas"]

    for name in ("Registration", "Login"):
        assert all(field.get("examples") for field in schemas[name]["properties"].values()), name


async def test_operations_are_called_as_their_handlers(document):
    names = [operation["operationId"] for _, _, operation in operations(document)]

    assert {"register", "login", "upload_model", "list_models"} <= set(names)
    assert len(names) == len(set(names))


async def test_every_reference_of_the_document_leads_somewhere(document):
    references = set(re.findall(r"#/components/schemas/([^'\"]+)", str(document)))

    assert references - document["components"]["schemas"].keys() == set()


async def test_every_json_body_says_that_other_fields_are_refused(document):
    lax = [
        (method, path)
        for method, path, operation in operations(document)
        for form in [operation.get("requestBody", {}).get("content", {}).get("application/json")]
        if form and "InferenceRequest" not in str(form)  # whose protocol lets anybody add parameters
        if not all(kind.get("additionalProperties") is False for kind in objects(document, form["schema"]))
    ]

    assert lax == []


def objects(document, schema):
    """The kinds of objects that a schema stands for."""
    if reference := schema.get("$ref"):
        return [document["components"]["schemas"][reference.rpartition("/")[2]]]
    kinds = schema.get("oneOf", [schema])
    if "properties" in schema:
        return [schema]
    return [found for kind in kinds if kind.get("type") != "null" for found in objects(document, kind)]


async def test_options_names_every_method_of_an_address(client, account, document):
    answer = await client.options("/api/v1/api-keys", headers=account.headers)

    allowed = set(answer.headers["Allow"].lower().split(", "))
    documented = document["paths"]["/api/v1/api-keys"].keys() & HTTP_METHODS
    assert allowed == documented | {"head", "options"}  # which go without saying
