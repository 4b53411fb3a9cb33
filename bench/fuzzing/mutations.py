"""Broken files out of whole ones, each told by a number, so that it can be made again."""

import gzip
import random
import struct
from collections.abc import Callable, Sequence

_NUMBERS = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 40,
    2**63 - 1,
    2**64 - 1,
)
_TEXTS = (
    b'"', b'""', b"\n", b"\r", b"\0", b",", b";", b"\xff", b"\xc3", b"1e999", b"NaN", b"-0", b"1,234", b"{",
    b"}", b"[", b"]", b"null", b"true", b"9" * 400, b"\\ud800", b"Infinity", b"0x10", b" ", b"{}", b"[]",
    b'"a":', b"\xef\xbb\xbf",
)  # fmt: skip
_GZIP = b"\x1f\x8b"
# Lengths of the metadata at the end of Parquet and Arrow files are looked at again and again.
_TAIL_BYTES = 1500


def mutated(seeds: Sequence[bytes], number: int) -> bytes:
    """The broken file of that number: up to eight changes to one of the seeds."""
    dice = random.Random(number)
    content = dice.choice(seeds)
    packed = content.startswith(_GZIP) and dice.random() < 0.5
    data = bytearray(gzip.decompress(content) if packed else content)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        if data:
            dice.choice(_CHANGES)(data, dice, seeds)
    return gzip.compress(bytes(data), mtime=0) if packed else bytes(data)


def _place(data: bytearray, dice: random.Random) -> int:
    """Anywhere, and rather often near the end, where footers are, or near the start."""
    zone = dice.random()
    if zone < 0.4:
        return max(0, len(data) - 1 - dice.randrange(min(len(data), _TAIL_BYTES)))
    return dice.randrange(min(len(data), 300) if zone < 0.5 else len(data))


def _flip_bit(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    data[_place(data, dice)] ^= 1 << dice.randrange(8)


def _set_byte(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    data[_place(data, dice)] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))


def _set_number(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    """A length, an offset or a count that lies, in as many bytes as such fields have."""
    size, at = dice.choice((2, 4, 8)), _place(data, dice)
    if dice.random() < 0.5:
        at &= ~3
    piece = data[at : at + size]
    if dice.random() < 0.5:
        value = int.from_bytes(piece, "little") + dice.choice((-1, 1, 8, -8, 64, -64, 1 << 20))
    else:
        value = dice.choice(_NUMBERS)
    data[at : at + len(piece)] = struct.pack("<Q", value % 2**64)[: len(piece)]


def _set_varint(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    """Likewise, as Thrift has them; the file gets longer or shorter by it."""
    at, value = _place(data, dice), dice.choice(_NUMBERS)
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    data[at : at + 1] = encoded


def _cut_off(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    del data[_place(data, dice) :]


def _cut_out(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    at = _place(data, dice)
    del data[at : at + dice.choice((1, 2, 4, 8, 64, 1000))]


def _double(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    at, size = _place(data, dice), dice.choice((1, 4, 8, 64, 1000))
    data[at:at] = data[at : at + size]


def _splice(data: bytearray, dice: random.Random, seeds: Sequence[bytes]) -> None:
    other = dice.choice(seeds)
    at, start = _place(data, dice), dice.randrange(len(other))
    size = dice.choice((8, 64, 500, len(other)))
    data[at : at + dice.choice((0, size))] = other[start : start + size]


def _write_text(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> None:
    at, text = _place(data, dice), dice.choice(_TEXTS)
    data[at : at + dice.choice((0, len(text)))] = text


_CHANGES: Sequence[Callable[[bytearray, random.Random, Sequence[bytes]], None]] = (
    _flip_bit, _flip_bit, _set_byte, _set_number, _set_number, _set_varint, _cut_off, _cut_out, _double,
    _splice, _write_text, _write_text,
)  # fmt: skip
