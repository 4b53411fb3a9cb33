"""The body of a request: JSON up to the route's `request_max_body_size`, or a stream for big files."""

from collections.abc import AsyncIterator
from typing import Any

from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import Empty

from shared.errors import MalformedRequest, TooLarge
from shared.json_body import decode_json


class JsonRequest(Request[Any, Any, Any]):
    """A request whose JSON body is read as the type that its handler takes.

    The framework would read it as it reads parameters, which are texts: 0 for false, a number for a time.
    """

    async def json(self) -> Any:
        """The body, decoded.

        Raises:
            MalformedJson: it is not JSON.
            InvalidInput: it is JSON of another shape.
        """
        if self._json is Empty:
            self._json = decode_json(await self.body(), _kind_for(self.route_handler))
        return self._json


def _kind_for(handler: HTTPRouteHandler) -> Any:
    field = handler.parsed_data_field
    return Any if field is None else field.annotation


class BodyCut(MalformedRequest):
    """The connection ended before the body was complete."""

    code = "body_cut"


def announced_bytes(request: Request[Any, Any, Any]) -> int | None:
    """What `Content-Length` says; None where the body comes in chunks of unknown sum."""
    header = request.headers.get("content-length")
    if header is None:
        return None
    if not header.isascii() or not header.isdigit():
        raise MalformedRequest("the header Content-Length is not a number")
    return int(header)


def refuse_beyond(max_bytes: int, request: Request[Any, Any, Any]) -> None:
    """Refuse a body that announces itself as too large, before any of it is read.

    Raises:
        TooLarge: it has more than `max_bytes`.
    """
    size_bytes = announced_bytes(request)
    if size_bytes is not None and size_bytes > max_bytes:
        raise TooLarge(f"the body has {size_bytes} bytes; up to {max_bytes} are allowed")


async def body_pieces(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    """The body, piece by piece, as the client sends it.

    Raises:
        BodyCut: the client left before its end.
    """
    more = True
    while more:
        event = await request.receive()
        if event["type"] != "http.request":
            raise BodyCut("the connection ended before the body was complete")
        if event["body"]:
            yield event["body"]
        more = event["more_body"]


async def whole_body(request: Request[Any, Any, Any], *, max_bytes: int) -> bytes:
    """The body, of a route that reads it as a stream otherwise.

    Raises:
        TooLarge: it has more than `max_bytes`.
        BodyCut: the client left before its end.
    """
    refuse_beyond(max_bytes, request)
    body = bytearray()
    async for piece in body_pieces(request):
        body += piece
        if len(body) > max_bytes:
            raise TooLarge(f"the body has more than the {max_bytes} bytes that are allowed here")
    return bytes(body)
