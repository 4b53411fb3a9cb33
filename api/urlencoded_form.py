"""Forms without files, as browsers and `curl -d` send them."""

from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request
from multipart import parse_options_header

from api.request_body import body_pieces, refuse_beyond
from shared.errors import MalformedRequest, TooLarge

URLENCODED = "application/x-www-form-urlencoded"

_MAX_BYTES = 1024 * 1024
_FIELDS_MAX = 64


def is_urlencoded(request: Request[Any, Any, Any]) -> bool:
    """Whether the body is such a form."""
    content_type, _ = parse_options_header(request.headers.get("content-type", ""))
    return bool(content_type == URLENCODED)


async def urlencoded_fields(request: Request[Any, Any, Any], *, fields: Collection[str]) -> dict[str, str]:
    """The fields of the form. Those that are empty were not filled in, and are absent.

    Args:
        fields: names that the form may hold.

    Raises:
        MalformedRequest: it cannot be read, or holds a field twice, or one that it should not.
        TooLarge: it is over the limit.
    """
    found: dict[str, str] = {}
    for name, value in _pairs(await _body(request)):
        if name not in fields:
            raise MalformedRequest(
                f"the form has a field {name!r:.100}; this route takes {', '.join(fields)}"
            )
        if name in found:
            raise MalformedRequest(f"the form has more than one field {name!r}")
        found[name] = value
    return found


def _pairs(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("ascii"), max_num_fields=_FIELDS_MAX, errors="strict")
    except ValueError as error:
        raise MalformedRequest(
            "the form is not one of UTF-8, percent-encoded, of at most 64 fields"
        ) from error


async def _body(request: Request[Any, Any, Any]) -> bytes:
    refuse_beyond(_MAX_BYTES, request)
    body = bytearray()
    async for piece in body_pieces(request):
        body += piece
        if len(body) > _MAX_BYTES:
            raise TooLarge(f"the form has more than the {_MAX_BYTES} bytes that are allowed")
    return bytes(body)
