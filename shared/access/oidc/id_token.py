"""Whether an ID token proves who somebody is (OpenID Connect Core 1.0, section 3.1.3.7). No I/O."""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from typing import Any, Final

import jwt
import msgspec

from shared.access.oidc.errors import OidcTokenInvalid

_LEEWAY_S: Final = 60.0  # clocks differ
_REQUIRED: Final = ["iss", "aud", "sub", "exp", "iat", "nonce"]
_SUBJECT_MAX: Final = 255  # characters, as the standard says
_HASHES: Final = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What must stand in the token."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str  # that came along


class Header(msgspec.Struct, frozen=True):
    """By which key and algorithm the token says that it is signed."""

    key_id: str | None
    algorithm: str


def read_header(token: str, *, algorithms: Iterable[str]) -> Header:
    """The token's header.

    Raises:
        OidcTokenInvalid: it is no token, or signed by another algorithm.
    """
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise OidcTokenInvalid("the provider sent an ID token that cannot be read") from None
    algorithm = header.get("alg")
    if algorithm not in set(algorithms):
        raise OidcTokenInvalid("the ID token is signed by an algorithm that the provider does not announce")
    return Header(header.get("kid"), algorithm)


def find_key(keys: Iterable[dict[str, Any]], header: Header) -> jwt.PyJWK | None:
    """The public key that the header names; without a name, the only one that fits."""
    fitting = [key for raw in keys if (key := _usable(raw, header)) is not None]
    if header.key_id is None and len(fitting) > 1:
        return None
    return fitting[0] if fitting else None


def verified_claims(token: str, key: jwt.PyJWK, *, algorithm: str, expected: Expected) -> dict[str, Any]:
    """What the token says.

    Raises:
        OidcTokenInvalid: it is not signed by this key, or for somebody else, another log-in or another time.
    """
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=expected.client_id,
            issuer=expected.issuer,
            leeway=_LEEWAY_S,
            options={"require": _REQUIRED},
        )
    except (jwt.InvalidTokenError, ValueError, TypeError) as error:
        raise OidcTokenInvalid(f"the ID token does not hold: {_reason(error)}") from None
    if reason := _mismatch(claims, algorithm=algorithm, expected=expected):
        raise OidcTokenInvalid(f"the ID token does not hold: {reason}")
    return claims


def _usable(raw: dict[str, Any], header: Header) -> jwt.PyJWK | None:
    """The key, if it is one for this header; keys of other kinds may stand beside it."""
    if header.key_id is not None and raw.get("kid") != header.key_id:
        return None
    if raw.get("use", "sig") != "sig" or raw.get("alg", header.algorithm) != header.algorithm:
        return None
    try:
        return jwt.PyJWK(raw, algorithm=header.algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None


def _mismatch(claims: dict[str, Any], *, algorithm: str, expected: Expected) -> str | None:
    """What PyJWT does not look at."""
    audiences, party = claims["aud"], claims.get("azp")
    if party != expected.client_id and (party is not None or (isinstance(audiences, list) and audiences[1:])):
        return "it is for another client"
    if not hmac.compare_digest(str(claims["nonce"]).encode(), expected.nonce.encode()):
        return "it belongs to another log-in"
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= _SUBJECT_MAX:
        return "it names nobody"
    told = claims.get("at_hash")
    if told is not None and told != access_token_hash(expected.access_token, algorithm=algorithm):
        return "another access token came with it"
    return None


def access_token_hash(access_token: str, *, algorithm: str) -> str:
    """The left half of the token's hash (OpenID Connect Core 1.0, section 3.1.3.6)."""
    digest = _HASHES[algorithm[-3:]] if algorithm != "EdDSA" else hashlib.sha512  # Ed25519's own
    half = digest(access_token.encode()).digest()
    return base64.urlsafe_b64encode(half[: len(half) // 2]).rstrip(b"=").decode()


def _reason(error: Exception) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired"
        case jwt.InvalidAudienceError():
            return "it is for another client"
        case jwt.InvalidIssuerError():
            return "another provider made it"
        case jwt.MissingRequiredClaimError():
            return f"it lacks {error.claim}"
        case jwt.ImmatureSignatureError():
            return "it is from the future"
        case _:
            return "its signature or its form is wrong"
