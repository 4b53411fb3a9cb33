"""Rows of a request as JSON Lines, a file like any other."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence

import msgspec

_ROWS_AT_ONCE = 1000  # then others have their turn: some millions of rows fit into a request

_decode = msgspec.json.Decoder().decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode

# Between two tokens, where JSON allows them; within a text it does not.
_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")


async def json_lines(rows: Sequence[msgspec.Raw], names: Sequence[str]) -> AsyncIterator[bytes]:
    """A line a row, in pieces; arrays become objects.

    A row that cannot become one is written as it stands: the job tells of it, with its number, as of any row
    that does not fit.

    Args:
        names: of an array's values, in order.
    """
    keys = [msgspec.json.encode(name) + b":" for name in names]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        yield b"".join([_line(bytes(row), keys) for row in rows[start : start + _ROWS_AT_ONCE]])
        await asyncio.sleep(0)


async def rows_digest(rows: Sequence[msgspec.Raw]) -> str:
    """SHA-256, hexadecimal, of what the rows say: spaces and the order of names do not count."""
    digest = hashlib.sha256()
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        for row in rows[start : start + _ROWS_AT_ONCE]:
            digest.update(_canonical(row) + b"\n")
        await asyncio.sleep(0)
    return digest.hexdigest()


def _line(row: bytes, keys: Sequence[bytes]) -> bytes:
    text = row.translate(_LINE_ENDS)
    return (_object(text, keys) if text.startswith(b"[") else text) + b"\n"


def _object(array: bytes, keys: Sequence[bytes]) -> bytes:
    """The array as an object; as it stands where it has more values or fewer."""
    try:
        values = _decode_array(array)
    except RecursionError:
        return array
    if len(values) != len(keys):
        return array
    return b"{" + b",".join([key + bytes(value) for key, value in zip(keys, values, strict=True)]) + b"}"


def _canonical(row: msgspec.Raw) -> bytes:
    try:
        return _encode_sorted(_decode(row))
    except (msgspec.DecodeError, RecursionError):  # a number too large for a float, say
        return bytes(row)
