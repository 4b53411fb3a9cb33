"""The body of a request as a stream, for routes that must never hold it in memory.

Routes that decode JSON let Litestar read the body, up to their `request_max_body_size`.
"""

from collections.abc import AsyncIterator
from typing import Any

from litestar import Request

from shared.errors import MalformedRequest, TooLarge


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
