"""Access tokens that somebody made, changed or bent: nobody comes in by one, on any road.

Each is made of a token that is good, so that nothing but what was bent keeps it out.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator

import jwt
import pytest

from shared.access.tokens import AccessTokens

ME = "/api/v1/auth/me"
PREDICT = "/api/v1/predict/iris"
HOUR_S = 3600


@pytest.fixture
def key(settings) -> bytes:
    """What the platform signs with."""
    return AccessTokens(settings.secret_key, ttl_s=HOUR_S)._key


def claims_of(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def signed(head: dict, claims: object, key: bytes, *, digest: str = "sha256") -> str:
    """By hand: a library would refuse to make most of these."""
    text = f"{encoded(head)}.{encoded(claims)}"
    signature = base64.urlsafe_b64encode(hmac.digest(key, text.encode(), digest)).rstrip(b"=")
    return f"{text}.{signature.decode()}"


def of_other_algorithms(token: str, key: bytes) -> Iterator[tuple[str, str]]:
    head, claims = jwt.get_unverified_header(token), claims_of(token)
    for name in ("none", "None", "NONE", "nOnE", ""):
        yield f"alg {name!r}, unsigned", f"{encoded(head | {'alg': name})}.{encoded(claims)}."
        yield f"alg {name!r}, signed", signed(head | {"alg": name}, claims, key)
    yield "HS384", signed(head | {"alg": "HS384"}, claims, key, digest="sha384")
    yield "HS512", signed(head | {"alg": "HS512"}, claims, key, digest="sha512")
    yield "no alg", signed({each: head[each] for each in head.keys() - {"alg"}}, claims, key)
    yield "alg that is a list", signed(head | {"alg": ["HS256"]}, claims, key)
    for name in (
        "RS256",
        "PS256",
        "ES256",
        "EdDSA",
    ):  # of which we have no keys, so that there is none to mistake
        yield name, signed(head | {"alg": name}, claims, key)
    own = {"kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 32).decode()}
    yield "a key in the head", signed(head | {"jwk": own}, claims, b"k" * 32)
    yield "a key at an address", signed(head | {"jku": "http://127.0.0.1:1/keys"}, claims, b"k" * 32)
    yield "a certificate at an address", signed(head | {"x5u": "http://127.0.0.1:1/"}, claims, b"k" * 32)


def with_other_keys(token: str, secret: str) -> Iterator[tuple[str, str]]:
    head, claims = jwt.get_unverified_header(token), claims_of(token)
    for name, key in {
        "no key": b"",
        "the secret itself": secret.encode(),
        "a key derived for another purpose": hmac.digest(secret.encode(), b"other", hashlib.sha256),
        "zeros": b"\0" * 32,
    }.items():
        yield name, signed(head, claims, key)
    for kid in ("../../../dev/null", "' UNION SELECT '' --", "/dev/null", "\0", "x" * 5000):
        yield f"kid {kid[:30]!r}", signed(head | {"kid": kid}, claims, b"")


def with_other_claims(token: str, key: bytes) -> Iterator[tuple[str, str]]:
    head, claims, now = jwt.get_unverified_header(token), claims_of(token), int(time.time())
    for changes in (
        {"exp": now - 60},
        {"exp": 0},
        {"exp": -1e300},
        {"exp": "soon"},
        {"exp": None},
        {"nbf": now + HOUR_S},
        {"iat": now + HOUR_S},
        {"iss": "somebody"},
        {"iss": ["modelyard"]},
        {"aud": "modelyard"},
        {"aud": []},
        {"sub": "' OR 1=1 --"},
        {"sub": ""},
        {"sub": 7},
        {"sub": {"$ne": None}},
        {"sub": "\0"},
    ):
        yield str(changes), signed(head, claims | changes, key)
    for claim in ("iss", "aud", "sub", "exp", "iat", "jti"):
        yield f"no {claim}", signed(head, {each: claims[each] for each in claims.keys() - {claim}}, key)
    for whole in ([], "text", 5, None, [claims]):
        yield f"claims that are {whole!r:.20}", signed(head, whole, key)


def tampered(token: str, key: bytes) -> Iterator[tuple[str, str]]:
    head, payload, signature = token.split(".")
    other = encoded(claims_of(token) | {"sub": "0192f0c1-2d3e-7abc-8def-0123456789ab"})
    yield "somebody else's claims", f"{head}.{other}.{signature}"
    for kept in (0, 1, 20, len(signature) - 2):
        yield f"{kept} characters of the signature", f"{head}.{payload}.{signature[:kept]}"
    yield "a part more", f"{token}.{signature}"
    yield "parts that are encrypted", f"{head}.{payload}..{signature}.x"
    yield "a token twice", token + token
    yield "no signature", f"{head}.{payload}"
    yield (
        "what must be understood",
        signed(jwt.get_unverified_header(token) | {"crit": ["exp"], "exp": 1}, claims_of(token), key),
    )
    yield (
        "claims without end",
        signed(jwt.get_unverified_header(token), claims_of(token) | {"x": "y" * 40_000}, b"k" * 32),
    )
    yield "claims in claims", f"{head}.{base64.urlsafe_b64encode(b'[' * 20_000).decode()}.{signature}"
    yield "a head in a head", f"{base64.urlsafe_b64encode(b'[' * 20_000).decode()}.{payload}.{signature}"


async def test_nobody_comes_in_by_a_token_that_is_not_ours_as_it_was(client, account, key, settings):
    head, claims = jwt.get_unverified_header(account.token), claims_of(account.token)
    again = signed(head, claims, key)
    bent = [
        *of_other_algorithms(account.token, key),
        *with_other_keys(account.token, settings.secret_key),
        *with_other_claims(account.token, key),
        *tampered(account.token, key),
    ]

    assert (await client.get(ME, headers={"Authorization": f"Bearer {again}"})).status_code == 200
    for name, token in bent:
        for method, path in (("GET", ME), ("POST", PREDICT)):
            for header in ({"Authorization": f"Bearer {token}"}, {"X-API-Key": token}):
                answer = await client.request(method, path, headers=header, json={"input": [1]})

                assert answer.status_code == 401, (name, path, answer.text)
                assert answer.json()["code"] in {"invalid_token", "token_expired"}, (name, path)
                assert token not in answer.text


async def test_a_credential_counts_once_and_in_its_header_alone(client, account):
    good = ("Authorization", f"Bearer {account.token}")
    for headers in (
        [good, good],
        [good, ("Authorization", "Bearer other")],
        [("X-API-Key", "other"), good],
        [("Authorization", f"Bearer {account.token}, Bearer {account.token}")],
        [("Authorization", f"Bearer Bearer {account.token}")],
        [("Authorization", f"Basic {account.token}")],
        [("Proxy-Authorization", good[1])],
        [("X-Forwarded-Authorization", good[1])],
        [("Cookie", f"access_token={account.token}; Authorization={account.token}")],
    ):
        answers = [
            await client.get(ME, headers=headers),
            await client.post(PREDICT, headers=headers, json={"input": [1]}),
        ]

        assert [answer.status_code for answer in answers] == [401, 401], headers
    in_address = await client.get(f"{ME}?access_token={account.token}&token={account.token}")
    assert in_address.status_code == 401
