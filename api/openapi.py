"""The OpenAPI document: what stands beside the routes themselves."""

from typing import Any, Final, Self

from litestar.enums import MediaType
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Components, License, SecurityScheme, Server, Tag

from api.pages.docs import DOCS_ROUTER, SwaggerPage
from api.problems import PROBLEM_JSON, Problem

VERSION: Final = "0.1.0"

# For a route's `security`, where it is not the usual: either of a token and a key.
ANYBODY: Final[list[dict[str, list[str]]]] = [{}]
SESSION_ONLY: Final[list[dict[str, list[str]]]] = [{"access_token": []}, {"session_cookie": []}]

PROBLEM_TEXTS: Final = {
    400: "The request cannot be read.",
    401: "No access token or API key, or none that is valid.",
    403: "Known, and may not do this.",
    404: "Not there, or another tenant's.",
    406: "There, and not in the form that is asked for.",
    409: "Against the present state; the detail says why.",
    410: "It was there and is gone.",
    413: "Too large; the detail names the limit.",
    414: "The address is too long; the detail names the limit.",
    415: "A content type or format that is not read here.",
    416: "The range begins behind the end; `Content-Range` says where that is.",
    422: "Readable, and does not fit; `errors` says where.",
    429: "More requests than the caller may make; come back after `Retry-After` seconds.",
    503: "Saturated, loading or draining; come back after `Retry-After` seconds.",
    504: "No answer before the deadline.",
}


class _Answer(ResponseSpec):
    """A description that every route may share. Litestar copies it deeply, several times for each route."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # nobody changes it; the copies were a third of the time of a start


def answer(content: Any, description: str, *, media_type: str = MediaType.JSON) -> ResponseSpec:
    """One that is not the route's usual, for its `responses`.

    Without an example: Litestar's are of random letters, and need a library that takes longer to load, and
    more memory, than all the rest of the document.
    """
    return _Answer(content, description=description, media_type=media_type, generate_examples=False)


def answers(*statuses: int) -> dict[int, ResponseSpec]:
    """The problems that a route answers with, for its `responses`.

    400 is always among them: otherwise Litestar describes one of its own, which nobody is ever sent. What all
    routes of a kind refuse is added for all of them (api/refusals_described.py).
    """
    return {
        status: answer(Problem, PROBLEM_TEXTS[status], media_type=PROBLEM_JSON)
        for status in sorted({400, *statuses})
    }


def openapi_config(*, session_cookie: str) -> OpenAPIConfig:
    """Title, tags and security of the document, and where its pages are.

    Args:
        session_cookie: the name of the cookie by which a browser is logged in.
    """
    return OpenAPIConfig(
        title="Modelyard",
        version=VERSION,
        summary="Upload a trained model file, get a REST endpoint.",
        description=(
            "Log in at `auth/login` and send the access token as `Authorization: Bearer …`. Programs send an "
            "API key instead, there or as `X-API-Key`. `RateLimit` tells how many requests are left. Every "
            "error is a problem (RFC 9457): match on its `code`, never on a text."
        ),
        license=License(name="MIT", identifier="MIT"),
        servers=[Server(url="/")],  # wherever the document was read from: its page may ask only there
        security=[{"access_token": []}, {"api_key": []}, {"session_cookie": []}],
        components=Components(
            security_schemes={
                "access_token": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="An access token of `auth/login`; an API key is taken here as well.",
                ),
                "api_key": SecurityScheme(
                    type="apiKey",
                    name="X-API-Key",
                    security_scheme_in="header",
                    description="An API key, `my_…`, made at `api-keys`.",
                ),
                "session_cookie": SecurityScheme(
                    type="apiKey",
                    name=session_cookie,
                    security_scheme_in="cookie",
                    description="For pages of this platform: set by `auth/login` with `cookies`. Counts "
                    "where no header names a token or a key. All but GET, HEAD and OPTIONS takes "
                    "`X-CSRF-Token` beside it, with what `auth/csrf` answers; another origin's page is "
                    "answered 403.",
                ),
            }
        ),
        tags=[
            Tag(name="Accounts", description="Register, log in, stay logged in."),
            Tag(name="Organizations", description="Who works on the same models, and in which role."),
            Tag(name="API keys", description="For programs, which do not log in."),
            Tag(name="Models", description="Upload models, and decide which version serves."),
            Tag(name="Predictions", description="Answers while the client waits."),
            Tag(name="Jobs", description="Files of rows, predicted in the background."),
            Tag(
                name="Schedules", description="Jobs that are submitted by the clock, again and again or once."
            ),
            Tag(name="Uploads", description="Large files for jobs, sent in as many requests as it takes."),
            Tag(name="Webhooks", description="Told when something happens, and what became of each."),
            Tag(name="Health", description="For load balancers and supervisors."),
        ],
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, _method, _path: handler.handler_name,
        openapi_router=DOCS_ROUTER,
        render_plugins=[SwaggerPage()],
    )
