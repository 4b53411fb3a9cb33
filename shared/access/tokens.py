"""Access tokens: short-lived JWTs that say who calls. Refresh tokens: random, and kept only as hashes."""

import hashlib
import hmac
import secrets
import time
from uuid import UUID, uuid4

import jwt
import msgspec

from shared.access.caller import Caller
from shared.access.permissions import Role
from shared.errors import Unauthenticated

_ALGORITHM = "HS256"  # the only one accepted, whatever a token's header says
_ISSUER = "modelyard"
_AUDIENCE = "modelyard-api"
_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "jti", "tenant_id", "role"]


class InvalidToken(Unauthenticated):
    """Not a token of ours, or one that was changed."""

    code = "invalid_token"


class TokenExpired(Unauthenticated):
    """It was ours, and its time is over."""

    code = "token_expired"


class VerifiedToken(msgspec.Struct, frozen=True):
    """Who a token speaks for, and until when, in Unix seconds."""

    caller: Caller
    expires: float


class AccessTokens:
    """Issues access tokens, and knows its own again."""

    def __init__(self, secret_key: str, *, ttl_s: int) -> None:
        # A key of its own, so that what else is derived from the secret says nothing about it.
        self._key = hmac.digest(secret_key.encode(), b"modelyard access tokens", hashlib.sha256)
        self.ttl_s = ttl_s

    def issue(self, caller: Caller) -> str:
        """A token that speaks for the caller from now on."""
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": str(caller.user_id),
            "tenant_id": str(caller.tenant_id),
            "role": caller.role,
            "iat": now,
            "exp": now + self.ttl_s,
            "jti": uuid4().hex,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def verify(self, token: str | bytes) -> VerifiedToken:
        """Whom the token speaks for.

        Raises:
            TokenExpired: its time is over.
            InvalidToken: anything else is wrong with it.
        """
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                audience=_AUDIENCE,
                options={"require": _REQUIRED},
            )
            caller = Caller(
                user_id=UUID(claims["sub"]), tenant_id=UUID(claims["tenant_id"]), role=Role(claims["role"])
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired("the access token has expired; get a new one from auth/refresh") from None
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError):
            raise InvalidToken("the access token is not valid") from None
        return VerifiedToken(caller, float(claims["exp"]))


def new_refresh_token() -> str:
    """256 random bits, as text."""
    return secrets.token_urlsafe(32)


def refresh_token_hash(token: str) -> str:
    """What the tables keep of a refresh token. It is random enough to need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
