"""The `Repr-Digest` header (RFC 9530): the SHA-256 of what is sent."""

import base64
import binascii
import hashlib
import re

from shared.catalog.errors import DigestMismatch
from shared.errors import MalformedRequest

_SHA_256 = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([^:]*):", re.IGNORECASE)


def repr_digest(digest: str) -> str:
    """The header's value for a SHA-256 in hexadecimal."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(digest)).decode()}:"


def announced_digest(header: str | None) -> str | None:
    """The SHA-256 that the header names, in hexadecimal; None without one.

    Raises:
        MalformedRequest: the header cannot be read.
    """
    found = _SHA_256.search(header or "")
    if found is None:
        return None
    try:
        digest = base64.b64decode(found[1], validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise MalformedRequest("the header Repr-Digest must be: sha-256=:<base64>:")
    return digest.hex()


def verify_digest(header: str | None, digest: str) -> None:
    """Compare the header, if it is there and names a SHA-256, with that of the bytes that arrived.

    Raises:
        MalformedRequest: the header cannot be read.
        DigestMismatch: they differ.
    """
    expected = announced_digest(header)
    if expected not in (None, digest):
        raise DigestMismatch(
            f"the bytes that arrived have the SHA-256 {digest}, not the one in Repr-Digest: send them again"
        )
