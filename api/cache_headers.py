"""What HTTP says about cached predictions: `Cache-Control` of requests, `Cache-Status` and `Age` of answers.

Source: RFC 9111 (HTTP Caching), sections 1.2.2, 4.2.1, 5.1 and 5.2.1; RFC 9211 (Cache-Status).
"""

import re
from typing import Final, Literal

import msgspec

MAX_DELTA_S: Final = 2**31  # what a larger number of seconds counts as (RFC 9111, 1.2.2)

# A directive's name, and its argument as a token or a quoted string.
_DIRECTIVE: Final = re.compile(
    r"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?""", re.ASCII
)

# Why a prediction was computed though there is a cache, in RFC 9211's words: the model has it switched off;
# nothing was stored; something was, and the request did not want it.
Forwarded = Literal["bypass", "miss", "request"]


class CacheControl(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says about stored replies.

    Attributes:
        no_cache: none may be used.
        no_store: this one may not be stored.
        only_if_cached: the client would rather have 504 than a prediction that is computed now.
        max_age_s: how old a reply may be.
        min_fresh_s: for how long it must stay fresh.
    """

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age_s: int | None = None
    min_fresh_s: int = 0

    def accepts(self, *, age_s: int, ttl_s: int) -> bool:
        """Whether a stored reply will do.

        Args:
            ttl_s: how long it stays fresh from now.
        """
        young = self.max_age_s is None or age_s <= self.max_age_s
        return not self.no_cache and young and ttl_s >= self.min_fresh_s


_ANY: Final = CacheControl()


def parse_cache_control(header: bytes | None) -> CacheControl:
    """Read the header. What is unknown is ignored; seconds that are no number count as none."""
    if not header:
        return _ANY
    given: dict[str, int] = {}
    for name, quoted, token in _DIRECTIVE.findall(header.decode("latin-1")):
        directive = name.lower()
        seconds = _seconds(quoted or token)
        # Of a directive that is given twice the stricter counts.
        stricter = max if directive == "min-fresh" else min
        given[directive] = stricter(seconds, given.get(directive, seconds))
    return CacheControl(
        no_cache="no-cache" in given,
        no_store="no-store" in given,
        only_if_cached="only-if-cached" in given,
        max_age_s=given.get("max-age"),
        min_fresh_s=given.get("min-fresh", 0),
    )


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        return 0
    return min(int(text), MAX_DELTA_S) if len(text) <= 10 else MAX_DELTA_S  # noqa: PLR2004  digits of MAX_DELTA_S


def hit_headers(*, age_s: int, ttl_s: int) -> list[tuple[bytes, bytes]]:
    """The headers of an answer out of the cache."""
    return [(b"cache-status", b"modelyard; hit; ttl=%d" % ttl_s), (b"age", b"%d" % age_s)]


def forwarded_header(why: Forwarded, *, stored: bool = False, collapsed: bool = False) -> tuple[bytes, bytes]:
    """The header of an answer that the model computed.

    Args:
        stored: the reply was stored for later requests.
        collapsed: an equal request in flight had it computed, and this one shared it.
    """
    parameters = b"; stored" * stored + b"; collapsed" * collapsed
    return b"cache-status", b"modelyard; fwd=" + why.encode() + parameters
