"""Access tokens: only ours, only for their time, only with our algorithm."""

import base64
import json
import time
from uuid import UUID

import jwt
import pytest

from shared.access.caller import Caller
from shared.access.tokens import AccessTokens, InvalidToken, TokenExpired

SECRET = "a secret that only the tests know"
NEWER = "the secret that takes the place of it"
CALLER = Caller(
    user_id=UUID("0192f0c1-2d3e-7abc-8def-0123456789ab"),
    tenant_id=UUID("0192f0c1-2d3e-7abc-8def-ba9876543210"),
    session_id=UUID("0192f0c1-2d3e-7abc-8def-222222222222"),
)


@pytest.fixture
def tokens() -> AccessTokens:
    return AccessTokens(SECRET, ttl_s=900)


def claims_of(token: str) -> dict:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def resigned(
    tokens: AccessTokens, *, key: bytes | str | None = None, algorithm="HS256", kid="", **changes
) -> str:
    ours = jwt.get_unverified_header(tokens.issue(CALLER))["kid"]
    claims = {**claims_of(tokens.issue(CALLER)), **changes}
    kept = {name: value for name, value in claims.items() if value is not None}
    headers = {"kid": kid or ours}
    return jwt.encode(kept, tokens._key if key is None else key, algorithm=algorithm, headers=headers)


def test_a_token_speaks_for_its_caller(tokens):
    verified = tokens.verify(tokens.issue(CALLER))

    assert (verified.user_id, verified.session_id) == (CALLER.user_id, CALLER.session_id)


def test_a_token_carries_the_registered_claims_and_lasts_fifteen_minutes(tokens):
    claims = claims_of(tokens.issue(CALLER))

    assert set(claims) == {"iss", "aud", "sub", "sid", "iat", "exp", "jti"}
    assert claims["exp"] - claims["iat"] == 15 * 60
    assert claims["sub"] == str(CALLER.user_id)


def test_every_token_has_its_own_id(tokens):
    assert claims_of(tokens.issue(CALLER))["jti"] != claims_of(tokens.issue(CALLER))["jti"]


def test_a_token_without_a_signature_is_refused(tokens):
    unsigned = resigned(tokens, key="", algorithm="none")

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
        {"sid": None},
        {"sub": "not-an-id"},
        {"sid": 7},
        {"iat": int(time.time()) + 86_400},
        {"iat": None},
        {"kid": "another"},
    ],
)
def test_a_token_whose_claims_do_not_fit_is_refused(tokens, changes):
    with pytest.raises(InvalidToken):
        tokens.verify(resigned(tokens, **changes))


def test_an_expired_token_says_so(tokens):
    with pytest.raises(TokenExpired):
        tokens.verify(resigned(tokens, exp=int(time.time()) - 10))


def test_clocks_that_differ_by_two_seconds_do_no_harm(tokens):
    early = resigned(tokens, iat=int(time.time()) + 2)
    late = resigned(tokens, exp=int(time.time()) - 2)

    assert tokens.verify(early).session_id == tokens.verify(late).session_id == CALLER.session_id


def test_while_the_secret_is_replaced_both_are_believed_and_the_newer_signs(tokens):
    newer = AccessTokens(NEWER, ttl_s=900, previous=SECRET)

    from_before, from_now = tokens.issue(CALLER), newer.issue(CALLER)

    assert newer.verify(from_before).session_id == newer.verify(from_now).session_id == CALLER.session_id
    with pytest.raises(InvalidToken):
        tokens.verify(from_now)


def test_a_secret_that_was_replaced_is_believed_no_more(tokens):
    with pytest.raises(InvalidToken):
        AccessTokens(NEWER, ttl_s=900).verify(tokens.issue(CALLER))


def test_a_token_cannot_choose_a_key_that_did_not_sign_it(tokens):
    newer = AccessTokens(NEWER, ttl_s=900, previous=SECRET)
    kid = jwt.get_unverified_header(newer.issue(CALLER))["kid"]

    with pytest.raises(InvalidToken):
        newer.verify(resigned(tokens, kid=kid))


def test_a_token_without_the_name_of_its_key_is_refused(tokens):
    nameless = jwt.encode(claims_of(tokens.issue(CALLER)), tokens._key, algorithm="HS256")

    with pytest.raises(InvalidToken):
        tokens.verify(nameless)


def test_the_name_of_a_key_gives_nothing_of_it_away(tokens):
    kid = jwt.get_unverified_header(tokens.issue(CALLER))["kid"]

    assert len(kid) == 16
    assert kid not in tokens._key.hex()


@pytest.mark.parametrize("garbage", ["", "a.b.c", "....", "é.b.c", b"\xff\xfe.\x00.", "x" * 10_000])
def test_what_is_no_token_is_refused(tokens, garbage):
    with pytest.raises(InvalidToken):
        tokens.verify(garbage)


def test_a_changed_payload_is_refused(tokens):
    head, payload, signature = tokens.issue(CALLER).split(".")
    changed = payload[:-2] + ("AA" if payload[-2:] != "AA" else "BB")

    with pytest.raises(InvalidToken):
        tokens.verify(f"{head}.{changed}.{signature}")
