"""Which ID tokens prove who somebody is."""

import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from shared.access.oidc.errors import OidcMisconfigured, OidcTokenInvalid
from shared.access.oidc.id_token import Expected, Header, access_token_hash, find_key, verified_claims
from shared.access.oidc.metadata import Metadata

EXPECTED = Expected(issuer="https://login.example.com", client_id="us", nonce="n", access_token="a token")
OURS = {"alg": "ES256", "key": ec.generate_private_key(ec.SECP256R1())}
ENDPOINTS = {
    "authorization_endpoint": "https://login.example.com/authorize",
    "token_endpoint": "https://login.example.com/token",
    "jwks_uri": "https://login.example.com/keys",
}


def claims(**other) -> dict:
    now = int(time.time())
    return {
        "iss": EXPECTED.issuer,
        "aud": EXPECTED.client_id,
        "sub": "ada",
        "nonce": EXPECTED.nonce,
        "iat": now,
        "exp": now + 60,
        **other,
    }


def public(private, algorithm: str, **fields: str) -> dict:
    return jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key(), as_dict=True) | fields


def verified(token: str) -> dict:
    key = find_key([public(OURS["key"], "ES256", kid="1")], Header("1", "ES256"))
    assert key is not None
    return verified_claims(token, key, algorithm="ES256", expected=EXPECTED)


def signed(**other) -> str:
    return jwt.encode(claims(**other), OURS["key"], algorithm="ES256", headers={"kid": "1"})


def test_the_hash_of_an_access_token_is_the_standards():
    # OpenID Connect Core 1.0, appendix A.3
    told = access_token_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", algorithm="RS256")

    assert told == "77QmUPtjPfzWtF2AnpK9RQ"


def test_a_token_for_us_among_others_says_that_it_was_made_for_us():
    assert verified(signed(aud=["us", "them"], azp="us"))["sub"] == "ada"

    with pytest.raises(OidcTokenInvalid, match="another client"):
        verified(signed(aud=["us", "them"]))


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"nonce": "of another log-in"}, "another log-in"),
        ({"exp": int(time.time()) - 3600}, "expired"),
        ({"sub": "x" * 256}, "nobody"),
        ({"sub": 7}, "form is wrong"),
        ({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}, "another access token"),
    ],
)
def test_what_does_not_fit_is_told(other, reason):
    with pytest.raises(OidcTokenInvalid, match=reason):
        verified(signed(**other))


def test_a_key_is_taken_by_its_name_its_use_and_its_kind():
    edwards = ed25519.Ed25519PrivateKey.generate()
    keys = [
        {"kty": "unheard of", "kid": "0"},
        public(OURS["key"], "ES256", kid="1"),
        public(edwards, "EdDSA", kid="2"),
        public(edwards, "EdDSA", kid="3", use="enc"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "4"},
    ]

    found = [
        find_key(keys, Header(name, algorithm))
        for name, algorithm in (
            ("1", "ES256"), ("2", "EdDSA"), (None, "ES256"),
            ("0", "ES256"), ("1", "EdDSA"), ("3", "EdDSA"), ("4", "ES256"), ("5", "ES256"),
        )
    ]  # fmt: skip

    assert [key is not None for key in found] == [True] * 3 + [False] * 5


def test_without_a_name_one_of_several_keys_is_nobodys():
    keys = [public(OURS["key"], "ES256"), public(ec.generate_private_key(ec.SECP256R1()), "ES256")]

    assert find_key(keys, Header(None, "ES256")) is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"issuer": "https://login.example.com/"}, "calls itself"),
        ({"token_endpoint": "http://login.example.com/token"}, "no https URL"),
        ({"jwks_uri": "https:///keys"}, "no https URL"),
        ({"userinfo_endpoint": "file:///etc/passwd"}, "no https URL"),
        ({"id_token_signing_alg_values_supported": ("HS256", "none")}, "public key"),
    ],
)
def test_a_provider_that_cannot_be_trusted_is_the_operators_affair(said, reason):
    metadata = Metadata(**{"issuer": "https://login.example.com", **ENDPOINTS, **said})

    with pytest.raises(OidcMisconfigured, match=reason):
        metadata.check("https://login.example.com")
