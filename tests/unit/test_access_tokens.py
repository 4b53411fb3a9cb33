"""Access tokens: only ours, only for their time, only with our algorithm."""

import base64
import json
import time
from uuid import UUID

import jwt
import msgspec
import pytest

from shared.access.caller import Caller
from shared.access.permissions import Role
from shared.access.tokens import AccessTokens, InvalidToken, TokenExpired

SECRET = "a secret that only the tests know"
CALLER = Caller(
    user_id=UUID("0192f0c1-2d3e-7abc-8def-0123456789ab"),
    tenant_id=UUID("0192f0c1-2d3e-7abc-8def-ba9876543210"),
)


@pytest.fixture
def tokens() -> AccessTokens:
    return AccessTokens(SECRET, ttl_s=900)


def claims_of(token: str) -> dict:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def resigned(tokens: AccessTokens, *, key: bytes | str | None = None, algorithm="HS256", **changes) -> str:
    claims = {**claims_of(tokens.issue(CALLER)), **changes}
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, tokens._key if key is None else key, algorithm=algorithm)


def test_a_token_speaks_for_its_caller(tokens):
    for caller in (CALLER, msgspec.structs.replace(CALLER, role=Role.VIEWER)):
        assert tokens.verify(tokens.issue(caller)).caller == caller


def test_a_token_carries_the_registered_claims_and_lasts_fifteen_minutes(tokens):
    claims = claims_of(tokens.issue(CALLER))

    assert set(claims) == {"iss", "aud", "sub", "tenant_id", "role", "iat", "exp", "jti"}
    assert claims["exp"] - claims["iat"] == 15 * 60
    assert claims["sub"] == str(CALLER.user_id)


def test_every_token_has_its_own_id(tokens):
    assert claims_of(tokens.issue(CALLER))["jti"] != claims_of(tokens.issue(CALLER))["jti"]


def test_a_token_without_a_signature_is_refused(tokens):
    unsigned = jwt.encode(claims_of(tokens.issue(CALLER)), None, algorithm="none")

    with pytest.raises(InvalidToken):
        tokens.verify(unsigned)


def test_a_token_of_another_algorithm_is_refused_even_with_our_key(tokens):
    with pytest.raises(InvalidToken):
        tokens.verify(resigned(tokens, key=tokens._key * 2, algorithm="HS512"))


def test_a_token_of_another_platform_is_refused(tokens):
    foreign = AccessTokens("another secret, of another house!", ttl_s=900)

    with pytest.raises(InvalidToken):
        tokens.verify(foreign.issue(CALLER))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"aud": "another-api"},
        {"sub": None},
        {"jti": None},
        {"exp": None},
        {"tenant_id": None},
        {"sub": "not-an-id"},
        {"tenant_id": 7},
        {"role": None},
        {"role": "king"},
        {"role": ["owner"]},
        {"iat": int(time.time()) + 3600},
    ],
)
def test_a_token_whose_claims_do_not_fit_is_refused(tokens, changes):
    with pytest.raises(InvalidToken):
        tokens.verify(resigned(tokens, **changes))


def test_an_expired_token_says_so(tokens):
    with pytest.raises(TokenExpired):
        tokens.verify(resigned(tokens, exp=int(time.time()) - 1))


@pytest.mark.parametrize("garbage", ["", "a.b.c", "....", "é.b.c", b"\xff\xfe.\x00.", "x" * 10_000])
def test_what_is_no_token_is_refused(tokens, garbage):
    with pytest.raises(InvalidToken):
        tokens.verify(garbage)


def test_a_changed_payload_is_refused(tokens):
    head, payload, signature = tokens.issue(CALLER).split(".")
    changed = payload[:-2] + ("AA" if payload[-2:] != "AA" else "BB")

    with pytest.raises(InvalidToken):
        tokens.verify(f"{head}.{changed}.{signature}")
