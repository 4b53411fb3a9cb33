"""Where somebody logs in from, as far as a request says."""

from typing import Self

import msgspec

_MOST = 200  # characters of what a program says of itself


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A program at an address."""

    address: str = ""  # empty where it came over a Unix socket
    user_agent: str = ""  # in its own words, printable and cut

    @classmethod
    def at(cls, address: str, *, user_agent: str | None) -> Self:
        """The client behind a request, from its header `User-Agent`."""
        words = "".join(letter for letter in user_agent or "" if letter.isprintable())
        return cls(address=address, user_agent=words[:_MOST])
