"""The documentation pages, from vendored assets: they work with no internet."""

from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, Router, get
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.response import Redirect
from litestar.static_files import create_static_files_router

from api.auth import PUBLIC

_STATIC: Final = Path(__file__).with_name("static")

# Scripts and styles from here alone. ReDoc searches in a worker made of a blob, and styles itself inline;
# the pages' icons and Swagger's are data.
_CONTENT_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:; "
    "object-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="/static/vendor/swagger-ui/favicon-32x32.png">
{head}
</head>
<body>
<div id="ui"></div>
{scripts}
</body>
</html>
"""

_SWAGGER: Final = _PAGE.format(
    title="Modelyard API",
    head='<link rel="stylesheet" href="/static/vendor/swagger-ui/swagger-ui.css">',
    scripts='<script src="/static/vendor/swagger-ui/swagger-ui-bundle.js"></script>\n'
    '<script src="/static/docs.js"></script>',
)
_REDOC: Final = _PAGE.format(
    title="Modelyard API reference",
    head="",
    scripts='<script src="/static/vendor/redoc/redoc.standalone.js"></script>\n'
    '<script src="/static/redoc.js"></script>',
)


class SwaggerPage(OpenAPIRenderPlugin):
    """Swagger UI at /docs."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002  the page asks for the document by itself
        """The page; `_answer_first` has answered before anybody asks here."""
        return _SWAGGER.encode()


async def _answer_first(request: Request[Any, Any, Any]) -> bytes:
    """Answer before Litestar does.

    It would make a document of its own, within the event loop and without predict, even for the page, which
    does without; and it answers whatever is not there below the page with a page of its own.
    """
    if "path" in request.path_params:
        raise NotFoundException
    if request.url.path.rstrip("/").endswith(".json"):
        return await _document(request)
    return _SWAGGER.encode()


async def _document(request: Request[Any, Any, Any]) -> bytes:
    encoded: bytes = await request.app.state.openapi_document.encoded()
    return encoded


DOCS_ROUTER: Final = Router(
    "/docs",
    route_handlers=[],
    before_request=_answer_first,
    include_in_schema=False,
    opt=PUBLIC,
    response_headers={"Content-Security-Policy": _CONTENT_POLICY},
)


@get("/redoc", include_in_schema=False, media_type=MediaType.HTML, sync_to_thread=False)
def redoc_page() -> Response[str]:
    """ReDoc."""
    return Response(_REDOC, media_type=MediaType.HTML, headers={"Content-Security-Policy": _CONTENT_POLICY})


@get("/openapi.json", include_in_schema=False, media_type="application/json")
async def openapi_document(request: Request[Any, Any, Any]) -> bytes:
    """The OpenAPI document."""
    return await _document(request)


@get("/", include_in_schema=False, sync_to_thread=False)
def front_door() -> Redirect:
    """Whoever comes to look finds the documentation."""
    return Redirect("/docs")


pages_routes = Router(
    "/",
    route_handlers=[
        front_door,
        redoc_page,
        openapi_document,
        create_static_files_router("/static", [_STATIC], include_in_schema=False),
    ],
    opt=PUBLIC,
)
