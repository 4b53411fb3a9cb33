"""What a page of ours sends with every change that it asks for by cookie: nobody else's page can know it.

A token is good for one session, as long as that lasts, and is kept nowhere. Source: the signed double submit
of OWASP's Cross-Site Request Forgery Prevention Cheat Sheet.
"""

import hashlib
import hmac
import secrets
from typing import Final
from uuid import UUID

MOST_CHARACTERS: Final = 200  # of what is taken for one


class CsrfTokens:
    """Issues them, and knows whose they are."""

    def __init__(self, secret_key: str, *, previous: str = "") -> None:
        """Derive the keys.

        Args:
            previous: the secret before this one, whose tokens are still believed; empty: none.
        """
        self._keys = [_key(secret) for secret in (secret_key, previous) if secret]

    def issue(self, session_id: UUID) -> str:
        """A token of the session. No two are the same: an answer's length tells nothing of it."""
        salt = secrets.token_urlsafe(16)
        return f"{salt}.{_proof(self._keys[0], session_id, salt.encode())}"

    def is_of(self, session_id: UUID, token: bytes) -> bool:
        """Whether the token is one of this session."""
        if len(token) > MOST_CHARACTERS:
            return False
        salt, _, proof = token.partition(b".")
        return any(hmac.compare_digest(_proof(key, session_id, salt).encode(), proof) for key in self._keys)


def _key(secret: str) -> bytes:
    """A key of its own, so that what else is derived from the secret says nothing about it."""
    return hmac.digest(secret.encode(), b"modelyard csrf tokens", hashlib.sha256)


def _proof(key: bytes, session_id: UUID, salt: bytes) -> str:
    return hmac.digest(key, session_id.bytes + salt, hashlib.sha256).hex()
