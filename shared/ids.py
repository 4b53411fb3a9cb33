"""Identifiers that sort by the time they were made, so that indexes and listings stay in order."""

import os
import time
from uuid import UUID

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62


def new_id() -> UUID:
    """A UUID of version 7: 48 bits of Unix milliseconds, then 74 random bits.

    Source: RFC 9562, section 5.7.
    """
    return UUID(int=_new_number())


def _new_number() -> int:
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    rand_a, rand_b = (random >> 62) & 0xFFF, random & ((1 << 62) - 1)
    return (milliseconds & ((1 << 48) - 1)) << 80 | _VERSION_7 | rand_a << 64 | _VARIANT | rand_b


def new_id_text() -> str:
    """The same as text, in half the time: for what is given out by the thousand a second."""
    text = f"{_new_number():032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_id(text: str) -> UUID | None:
    """The identifier that `text` spells, or None where it spells none."""
    try:
        return UUID(text)
    except ValueError:
        return None
