"""The page of scopes says of every route what it takes."""

import re
from pathlib import Path

from litestar.handlers import HTTPRouteHandler

from api.app import create_app
from shared.access.permissions import Scope
from shared.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs/reference/scopes.md").read_text()
SETTINGS = Settings(
    database_url="postgresql+asyncpg://nobody@127.0.0.1:1/none",
    redis_url="redis://127.0.0.1:1",
    storage_url="file:///nowhere",
    secret_key="x" * 32,
)
# What is answered before the framework says itself what it takes (api/predict_route.py); what is left to it
# is the same route with `Prefer: respond-async`.
PREDICT = ("POST", "/api/v1/predict/{model}")
NOW = {(*PREDICT, "`predict`", "yes")}


def routes() -> set[tuple[str, str, str, str]]:
    found = set()
    for route in create_app(SETTINGS).routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler) and "public" not in handler.opt:
                found |= {row(method, route.path_format, handler.opt["needs"]) for method in methods(handler)}
    return found


def methods(handler):
    return handler.http_methods - {"HEAD", "OPTIONS"}


def row(method, path, needed):
    scopes = needed.reading if method == "GET" else needed.changing
    path = f"{path}, later" if (method, path) == PREDICT else path
    return (
        method,
        path,
        ", ".join(f"`{scope}`" for scope in scopes) or "any",
        "yes" if needed.by_model else "no",
    )


def test_every_route_stands_with_its_scopes_on_the_page():
    told = set(re.findall(r"^\| `([A-Z]+) ([^`]+)` \| ([^|]+) \| (yes|no) \|$", PAGE, re.MULTILINE))

    assert told == routes() | NOW


def test_every_scope_is_explained():
    assert set(re.findall(r"^\| `([a-z:]+)` \|", PAGE, re.MULTILINE)) == set(Scope)
