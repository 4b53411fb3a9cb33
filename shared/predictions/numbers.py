"""Answers as JSON, which has no numbers for infinity and for what is none."""

import math
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_NULL = b"null"


def write_json(answer: msgspec.Struct) -> bytes:
    """The answer: NaN as null, infinities as "Infinity" and "-Infinity", which predict takes as well."""
    written = _encode(answer)
    # The encoder writes null for all three. Where there is none, as nearly always, nothing more is to do.
    if _NULL not in written:
        return written
    return _encode(_spelled(msgspec.to_builtins(answer)))


def _spelled(value: Any) -> Any:
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list | tuple):
        return [_spelled(part) for part in value]
    if isinstance(value, dict):
        return {name: _spelled(part) for name, part in value.items()}
    return value
