"""What every answer forbids the browser of its reader. Made once, as bytes: the predict lane adds them whole.

A page that needs more sets a policy of its own, which stands.
"""

from typing import Final

from shared.settings import Settings

Fields = list[tuple[bytes, bytes]]

_CACHE: Final = b"cache-control"
_TAG: Final = b"etag"
_POLICY: Final = b"content-security-policy"
# Nothing here is for frames, for other sites' pages to embed, or to be guessed the type of.
_ALWAYS: Final[Fields] = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_ANSWERS_ARE_NO_PAGES: Final = (_POLICY, b"default-src 'none'; frame-ancestors 'none'")
_NO_STORE: Final = (_CACHE, b"no-store")  # answers are somebody's own, and some are keys
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")  # seconds: a year


class SecurityHeaders:
    """The headers, for these settings.

    Attributes:
        block: all of them, as they stand in an answer that sets none of its own.
    """

    def __init__(self, settings: Settings) -> None:
        self._always = [*_ALWAYS, _HSTS] if settings.environment == "production" else _ALWAYS
        self.block = b"".join(b"%s: %s\r\n" % field for field in self.joined([]))

    def joined(self, own: Fields) -> Fields:
        """The answer's own headers, and ours where it says nothing of the kind."""
        names = {name.lower() for name, _ in own}
        joined = [*own, *(field for field in self._always if field[0] not in names)]
        if _POLICY not in names:
            joined.append(_ANSWERS_ARE_NO_PAGES)
        if _CACHE not in names and _TAG not in names:  # what has a tag is asked for again by it
            joined.append(_NO_STORE)
        return joined
