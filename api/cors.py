"""Which web pages may call the API: those of CORS_ORIGINS (the CORS protocol of the Fetch standard).

Credentials of the browser (cookies) are never allowed: callers send a token or a key by themselves.
"""

from typing import Final

from api.wire_errors import OriginNotAllowed
from shared.settings import SettingsInvalid

Fields = list[tuple[bytes, bytes]]

_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_SENT: Final = (
    b"Authorization, X-API-Key, Content-Type, Accept, Cache-Control, Content-Digest, Repr-Digest, "
    b"Idempotency-Key, If-Match, If-None-Match, If-Range, Range, Prefer, Last-Event-ID, X-Request-Id, "
    b"X-Deadline-Ms, Inference-Header-Content-Length, Upload-Offset, Upload-Complete, Upload-Length"
)
# What a page may read of an answer, beside what the standard lets it read anyway.
_EXPOSED: Final = (
    b"ETag, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id, Server-Timing, Cache-Status, "
    b"Age, Accept-Ranges, Content-Range, Content-Disposition, Link, Preference-Applied, Repr-Digest, "
    b"WWW-Authenticate, Allow, Inference-Header-Content-Length, Upload-Offset, Upload-Complete, Upload-Limit"
)
_PREFLIGHT_MAX_AGE: Final = b"600"  # seconds
_ANY: Final = b"*"


class Cors:
    """The origins of the setting.

    Attributes:
        origins: scheme, host and port of each, as browsers send them; `*` for all.
    """

    def __init__(self, setting: str) -> None:
        origins = [part.strip().rstrip("/") for part in setting.split(",") if part.strip()]
        for origin in origins:
            if origin != "*" and ("://" not in origin or origin.count("/") > 2):  # noqa: PLR2004  those of ://
                raise SettingsInvalid(
                    f"CORS_ORIGINS: {origin!r} is none: write origins as https://app.example.com"
                )
        self.origins = frozenset(origin.encode() for origin in origins)

    def fields(self, origin: bytes | None) -> Fields:
        """Headers of an answer to a page of this origin; None where the request names none."""
        if not self.origins:
            return []
        vary = [] if _ANY in self.origins else [(b"vary", b"Origin")]
        if origin is None or not self._allows(origin):
            return vary
        allowed = _ANY if _ANY in self.origins else origin
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-expose-headers", _EXPOSED),
            *vary,
        ]

    def preflight(self, origin: bytes) -> Fields:
        """Headers of the answer to the question that a browser asks first; it needs no credentials.

        Raises:
            OriginNotAllowed: pages of this origin may not call.
        """
        if not self._allows(origin):
            raise OriginNotAllowed(
                "web pages of this origin may not call the API: CORS_ORIGINS does not name it"
            )
        return [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _SENT),
            (b"access-control-max-age", _PREFLIGHT_MAX_AGE),
        ]

    def _allows(self, origin: bytes) -> bool:
        return origin in self.origins or _ANY in self.origins
