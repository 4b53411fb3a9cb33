"""How text is encoded, and what its first bytes tell of it."""

import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from enum import StrEnum
from typing import Final

from shared.errors import UnsupportedFormat

GZIP: Final = b"\x1f\x8b"
_GZIP_HEADER: Final = 16 + zlib.MAX_WBITS  # zlib: with the header of gzip


class TextEncoding(StrEnum):
    """Encodings that are read. UTF-16 is told by its mark; without one it is little endian."""

    UTF_8 = "utf-8"
    UTF_16 = "utf-16"
    LATIN_1 = "latin-1"
    CP1252 = "cp1252"


def unpacked_head(head: bytes, *, most_bytes: int) -> bytes:
    """The first bytes of what a file holds whose own are `head`: unpacked, if they are of gzip.

    Raises:
        UnsupportedFormat: what looks like gzip is none.
    """
    if not head.startswith(GZIP):
        return head
    try:
        return zlib.decompressobj(_GZIP_HEADER).decompress(head, most_bytes)
    except zlib.error as error:
        raise UnsupportedFormat(
            f"the file begins like one of gzip, and cannot be unpacked: {error}"
        ) from None


def encoding_of(head: bytes, asked: TextEncoding | None) -> TextEncoding:
    """The encoding of text that begins with `head`: that of its mark, or the one that was asked for.

    Raises:
        UnsupportedFormat: the mark is of another than was asked for.
    """
    marked = _marked(head)
    if marked is not None and asked not in (None, marked):
        raise UnsupportedFormat(f"the file begins with the mark of {marked}, and `encoding` says {asked}")
    return marked or asked or TextEncoding.UTF_8


def as_utf_8(head: bytes, encoding: TextEncoding) -> bytes:
    """The head without its mark in UTF-8, whatever of it can be read."""
    if encoding is TextEncoding.UTF_8:
        return head.removeprefix(BOM_UTF8)
    codec, mark = codec_of(head, encoding)
    return head[mark:].decode(codec, "ignore").encode()


def codec_of(head: bytes, encoding: TextEncoding) -> tuple[str, int]:
    """Python's name of the encoding of text that begins with `head`, and the length of its mark."""
    if encoding is not TextEncoding.UTF_16:
        return encoding, 0
    if head.startswith(BOM_UTF16_BE):
        return "utf-16-be", len(BOM_UTF16_BE)
    return "utf-16-le", len(BOM_UTF16_LE) if head.startswith(BOM_UTF16_LE) else 0


def _marked(head: bytes) -> TextEncoding | None:
    if head.startswith(BOM_UTF8):
        return TextEncoding.UTF_8
    if head.startswith((BOM_UTF16_BE, BOM_UTF16_LE)):
        return TextEncoding.UTF_16
    return None
