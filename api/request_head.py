"""The head of a request: refused where it could be read in two ways, or where it has no end.

What llhttp refuses by itself is not asked again: both lengths at once, a length twice, NUL, broken chunks.
"""

from collections.abc import Sequence
from typing import Final

import httptools

from api.wire_errors import HeadTooLarge, MalformedHttp, TargetTooLong
from shared.settings import Settings

MAX_TARGET_BYTES: Final = 8192  # as most proxies and servers have it
Fields = Sequence[tuple[bytes, bytes]]

_HOST, _CODING, _CHUNKED = b"host", b"transfer-encoding", b"chunked"


class HeadRules:
    """The rules, for these settings."""

    def __init__(self, settings: Settings) -> None:
        self._max_fields, self.max_bytes = settings.max_header_fields, settings.max_head_bytes

    def check(self, target: bytes, fields: Fields, *, version: str) -> None:
        """Let a head through.

        Args:
            fields: names in small letters, as they came.

        Raises:
            TargetTooLong, HeadTooLarge: it has too much of something; the text says how much may be.
            MalformedHttp: it can be read in two ways.
        """
        if len(target) > MAX_TARGET_BYTES:
            raise TargetTooLong(f"the address has {len(target)} bytes; up to {MAX_TARGET_BYTES} are read")
        if len(fields) > self._max_fields:
            raise HeadTooLarge(f"there are {len(fields)} header fields; up to {self._max_fields} are read")
        names = [name for name, _ in fields]
        hosts = names.count(_HOST)
        if hosts != 1 and (hosts or version == "1.1"):
            raise MalformedHttp(f"there are {hosts} Host fields; send one")
        if _CODING in names:
            _check_coding(fields, version)
        if not target.startswith(b"/"):
            _check_absolute(target, dict(fields).get(_HOST))

    def check_size(self, target: bytes, fields: Fields) -> None:
        """Let through a head that came with so much that it may be too large.

        Raises:
            HeadTooLarge: it is; the text says how much may be.
        """
        if len(target) + sum(len(name) + len(value) for name, value in fields) > self.max_bytes:
            raise self.too_large()

    def too_large(self) -> HeadTooLarge:
        """The refusal of a head of too many bytes."""
        return HeadTooLarge(f"target and header fields have more than {self.max_bytes} bytes together")


def _check_coding(fields: Fields, version: str) -> None:
    codings = [value.lower() for name, value in fields if name == _CODING]
    if codings != [_CHUNKED] or version != "1.1":
        raise MalformedHttp("Transfer-Encoding is `chunked`, of HTTP/1.1, or is left out")


def _check_absolute(target: bytes, host: bytes | None) -> None:
    """A target with a name in it, as proxies are sent: the name that counts must be the one in Host."""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        raise MalformedHttp("the address is no path; send one that begins with /") from None
    port: int | None = url.port  # declared without its None
    named = (url.host or b"") + (b":%d" % port if port else b"")
    if host is None or named.lower() != host.lower():
        raise MalformedHttp("the address names another host than the Host field; send a path alone")
