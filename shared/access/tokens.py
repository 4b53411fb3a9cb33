"""Access tokens: short-lived JWTs that say who calls. Refresh tokens: random, and kept only as hashes.

A token says by which key it was signed (`kid`): while the secret is replaced there are two, of which the
newer signs and both are believed.
"""

import hashlib
import hmac
import secrets
import time
from typing import Any
from uuid import UUID, uuid4

import jwt
import msgspec

from shared.access.caller import Caller
from shared.errors import Unauthenticated

_ALGORITHM = "HS256"  # the only one accepted, whatever a token's header says
_ISSUER = "modelyard"
_AUDIENCE = "modelyard-api"
_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "jti", "sid"]
LEEWAY_S = 5  # by which the clocks of two machines may differ


class InvalidToken(Unauthenticated):
    """Not a token of ours, or one that was changed."""

    code = "invalid_token"


class TokenExpired(Unauthenticated):
    """It was ours, and its time is over."""

    code = "token_expired"


class VerifiedToken(msgspec.Struct, frozen=True):
    """Whose session a token is of, and until when it is believed, in Unix seconds."""

    session_id: UUID
    user_id: UUID
    expires: float


class AccessTokens:
    """Issues access tokens, and knows its own again."""

    def __init__(self, secret_key: str, *, ttl_s: int, previous: str = "") -> None:
        """Derive the keys.

        Args:
            previous: the secret before this one, whose tokens are still believed; empty: none.
        """
        self._key = _signing_key(secret_key)
        keys = [self._key, *([_signing_key(previous)] if previous else [])]
        self._keys = {_key_id(key): key for key in keys}
        self.ttl_s = ttl_s

    def issue(self, caller: Caller) -> str:
        """A token of the caller's session, from now on."""
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": str(caller.user_id),
            "sid": str(caller.session_id),
            "iat": now,
            "exp": now + self.ttl_s,
            "jti": uuid4().hex,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM, headers={"kid": _key_id(self._key)})

    def verify(self, token: str | bytes) -> VerifiedToken:
        """Which session the token is of. Whether that goes on, PostgreSQL knows.

        Raises:
            TokenExpired: its time is over.
            InvalidToken: anything else is wrong with it.
        """
        try:
            claims = self._claims(token)
            return VerifiedToken(UUID(claims["sid"]), UUID(claims["sub"]), float(claims["exp"]) + LEEWAY_S)
        except jwt.ExpiredSignatureError:
            raise TokenExpired("the access token has expired; get a new one from auth/refresh") from None
        except (jwt.InvalidTokenError, LookupError, ValueError, TypeError, AttributeError):
            raise InvalidToken("the access token is not valid") from None

    def _claims(self, token: str | bytes) -> dict[str, Any]:
        return jwt.decode(
            token,
            self._keys[jwt.get_unverified_header(token)["kid"]],
            algorithms=[_ALGORITHM],
            issuer=_ISSUER,
            audience=_AUDIENCE,
            leeway=LEEWAY_S,
            options={"require": _REQUIRED},
        )


def _signing_key(secret: str) -> bytes:
    """A key of its own, so that what else is derived from the secret says nothing about it."""
    return hmac.digest(secret.encode(), b"modelyard access tokens", hashlib.sha256)


def _key_id(key: bytes) -> str:
    """A name for the key, from which nobody gets back to it."""
    return hmac.digest(key, b"modelyard key id", hashlib.sha256).hex()[:16]


def new_refresh_token() -> str:
    """256 random bits, as text."""
    return secrets.token_urlsafe(32)


def refresh_token_hash(token: str) -> str:
    """What the tables keep of a refresh token. It is random enough to need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
