"""The access token or API key that a request came with."""

from collections.abc import Iterable
from typing import Final

from shared.errors import Unauthenticated

NEEDED: Final = "this needs an access token or an API key: Authorization: Bearer <token>, or X-API-Key: <key>"


def token_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The access token or API key that the request came with, in either of the two headers.

    Raises:
        Unauthenticated: there is none, or more than one, or the header holds something else.
    """
    token = sent_token(headers)
    if not token:
        raise Unauthenticated(NEEDED)
    return token


def sent_token(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The same; empty where neither header came.

    Raises:
        Unauthenticated: there is more than one, or the header holds something else.
    """
    token, came = b"", False
    for name, value in headers:
        if name not in {b"authorization", b"x-api-key"}:
            continue
        if token:
            raise Unauthenticated("send one of the headers Authorization and X-API-Key, once")
        token, came = _bearer(value) if name == b"authorization" else value.strip(), True
    if came and not token:
        raise Unauthenticated(NEEDED)
    return token


def _bearer(value: bytes) -> bytes:
    """The token of an `Authorization` header (RFC 6750)."""
    kind, _, token = value.partition(b" ")
    if kind.lower() != b"bearer" or not token.strip():
        raise Unauthenticated("the Authorization header must be: Bearer <access token or API key>")
    return token.strip()
