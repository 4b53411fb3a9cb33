"""Reads the fields of a protocol buffer message, without its schema.

Source: the wire format, https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator

_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5
_FIXED = {_EIGHT: 8, _FOUR: 4}
_MOST_SHIFT = 63


class NotProtobuf(Exception):
    """The bytes are no message."""


def fields(message: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field that has bytes (texts, inner messages); others are passed over.

    Raises:
        NotProtobuf: a field that reaches past the end, or is of no known kind.
    """
    view, at = memoryview(message), 0
    while at < len(view):
        key, at = _varint(view, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            _, at = _varint(view, at)
            continue
        if kind != _LENGTH and kind not in _FIXED:
            raise NotProtobuf
        length, at = _varint(view, at) if kind == _LENGTH else (_FIXED[kind], at)
        if length > len(view) - at:
            raise NotProtobuf
        if kind == _LENGTH:
            yield number, view[at : at + length]
        at += length


def first(message: bytes | memoryview, number: int) -> memoryview:
    """The content of the first field of that number; empty where there is none."""
    return next((content for found, content in fields(message) if found == number), memoryview(b""))


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _MOST_SHIFT + 1, 7):
        if at >= len(view):
            raise NotProtobuf
        value |= (view[at] & 0x7F) << shift
        at += 1
        if view[at - 1] < 0x80:  # noqa: PLR2004  the bit that says whether more follows
            return value, at
    raise NotProtobuf
