"""The body of a request: JSON up to the route's `request_max_body_size`, or a stream for big files."""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.types import Empty

from shared.errors import FieldError, InvalidInput, MalformedRequest, TooLarge

T = TypeVar("T")


class MalformedJson(MalformedRequest):
    """The body is not JSON. The text says where it stops being so."""

    code = "malformed_json"


class JsonRequest(Request[Any, Any, Any]):
    """A request whose JSON body says where it is malformed."""

    async def json(self) -> Any:
        """The body, decoded.

        Raises:
            MalformedJson: it is not JSON.
        """
        if self._json is Empty:
            self._json = decode_json(await self.body())
        return self._json


def decode_json(body: bytes) -> Any:
    """Decode a body.

    Raises:
        MalformedJson: it is empty, not JSON, not UTF-8, or nested too deeply.
    """
    return _decode(_decode_any, body)


def decode_json_as(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """Decode a body that must have the shape of the decoder's type.

    Raises:
        MalformedJson: it is not JSON at all.
        InvalidInput: it is JSON of another shape; the error says where.
    """
    try:
        return _decode(decoder.decode, body)
    except msgspec.ValidationError as error:
        fault = field_error(error)
        raise InvalidInput(f"the body does not fit: {fault.message}", [fault]) from error


_decode_any = msgspec.json.Decoder().decode


def _decode(decode: "Callable[[bytes], T]", body: bytes) -> T:
    if not body:
        raise MalformedJson("the body is empty; a JSON object is needed")
    try:
        return decode(body)
    except msgspec.ValidationError:
        raise
    except UnicodeDecodeError as error:
        raise MalformedJson(f"the body is not UTF-8: {error.reason}") from error
    except msgspec.DecodeError as error:
        raise MalformedJson(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise MalformedJson("the body is nested too deeply") from error


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


async def whole_body(request: Request[Any, Any, Any], *, max_bytes: int) -> bytes:
    """The body in one piece.

    Raises:
        TooLarge: it has more than `max_bytes`, announced or not.
        BodyCut: the client left before its end.
    """
    refuse_beyond(max_bytes, request)
    pieces: list[bytes] = []
    left = max_bytes
    async for piece in body_pieces(request):
        left -= len(piece)
        if left < 0:
            raise TooLarge(f"the body has more than the {max_bytes} bytes that are allowed")
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


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


def field_error(error: msgspec.ValidationError) -> FieldError:
    """Where a value did not fit, as a JSON pointer, and why.

    The text of msgspec ends in a path such as "- at `$.items[2].name`".
    """
    message, _, path = str(error).partition(" - at `$")
    pointer = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
    return FieldError(message=message, pointer=pointer)
