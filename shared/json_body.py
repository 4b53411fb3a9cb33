"""JSON as clients send it: decoded, or refused with a word on where it stops being what it should."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from shared.errors import FieldError, InvalidInput, MalformedRequest

T = TypeVar("T")


class MalformedJson(MalformedRequest):
    """The body is not JSON. The text says where it stops being so."""

    code = "malformed_json"


def decode_json(body: bytes, kind: Any = Any) -> Any:
    """Decode a body: as any JSON first, so that what is malformed behind what does not fit is malformed.

    Raises:
        MalformedJson: it is empty, not JSON, not UTF-8, or nested too deeply.
        InvalidInput: it is JSON of another shape than `kind`, or holds a whole number of more digits than
            anything can take.
    """
    try:
        return msgspec.convert(_decode(_decode_any, body), kind)
    except msgspec.ValidationError as error:
        raise _misfit(error) from error


def decode_json_as(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """Decode a body that must have the shape of the decoder's type.

    Raises:
        MalformedJson: it is not JSON at all.
        InvalidInput: it is JSON of another shape; the error says where.
    """
    try:
        return _decode(decoder.decode, body)
    except msgspec.ValidationError as error:
        raise _misfit(error) from error


def field_error(error: msgspec.ValidationError) -> FieldError:
    """Where a value did not fit, as a JSON pointer, and why.

    The text of msgspec ends in a path such as "- at `$.items[2].name`".
    """
    message, _, path = str(error).partition(" - at `$")
    pointer = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
    return FieldError(message=message, pointer=pointer)


def _misfit(error: msgspec.ValidationError) -> InvalidInput:
    fault = field_error(error)
    place = f" at {fault.pointer}" if fault.pointer else ""
    return InvalidInput(f"the body does not fit: {fault.message}{place}", [fault])


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
