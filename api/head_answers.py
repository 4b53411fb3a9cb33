"""HEAD, wherever there is GET: the same status and fields, without the content (RFC 9110, section 9.3.2)."""

from collections.abc import Iterator
from typing import Any, Final

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_OPT: Final = "without_head"
# In a handler's `opt`: its GET begins something, such as a stream, that nobody who asks for the head wants.
WITHOUT_HEAD: Final = {_OPT: True}


def answer_head(app: Litestar) -> None:
    """Let each GET answer HEAD, where no handler of its own does. OpenAPI documents leave these out."""
    for node in _nodes(app.asgi_router.root_route_map_node):
        get = node.asgi_handlers.get("GET")
        if get and _OPT not in get.handler.opt and "HEAD" not in node.asgi_handlers:
            node.asgi_handlers["HEAD"] = get._replace(asgi_app=_Head(get.asgi_app))
            node.path_parameters["HEAD"] = node.path_parameters["GET"]
    for route in app.routes:
        if isinstance(route, HTTPRoute) and _is_headed(route):
            route.methods.add("HEAD")  # which OPTIONS tells


def _is_headed(route: HTTPRoute) -> bool:
    get = route.route_handler_map.get("GET")
    return get is not None and _OPT not in get[0].opt


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in node.children.values():
        yield from _nodes(child)


class _Head:
    """ASGI middleware around what answers a GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                # It ends here: who streams a file hears that the client is gone, and reads none of it.
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app({**scope, "method": "GET"}, receive, send_head)  # type: ignore[arg-type]
