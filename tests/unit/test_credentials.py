"""What a process knows of tokens again, and where a request may carry them."""

from uuid import UUID

import pytest

from api.credentials import Credentials
from api.presented_token import token_of
from shared.access.key_text import key_id_of, new_key_text
from shared.access.known_key import InvalidKey
from shared.access.tokens import AccessTokens, InvalidToken
from shared.database.engine import Database
from shared.errors import Unauthenticated
from shared.settings import Settings

KEY_ID = UUID("0192f0c1-2d3e-7abc-8def-111111111111")
NOWHERE = "postgresql+asyncpg://nobody@127.0.0.1:1/none"  # no server listens there


@pytest.fixture
def tokens() -> AccessTokens:
    return AccessTokens("a secret that only the tests know", ttl_s=900)


@pytest.fixture
def credentials(tokens) -> Credentials:
    settings = Settings(database_url=NOWHERE, redis_url="", storage_url="", secret_key="x" * 32)
    return Credentials(settings, Database(NOWHERE), tokens)


async def test_a_refused_token_is_not_known(credentials):
    with pytest.raises(InvalidToken):
        await credentials.verify(b"nonsense")

    assert credentials.known(b"nonsense") is None


@pytest.mark.parametrize(
    "token",
    [
        b"my_",
        b"my_" + b"x" * 100_000,
        b"my_" + KEY_ID.hex.encode() + b"_short",
        b"my_" + KEY_ID.hex.upper().encode() + b"_" + b"A" * 43,
        b"my_" + KEY_ID.hex.encode() + b"_" + b"A" * 42 + b"\n",
        b"my_" + KEY_ID.hex.encode() + b"_" + b"\xff" * 43,
    ],
)
async def test_what_does_not_look_like_a_key_is_refused_without_asking_anybody(credentials, token):
    with pytest.raises(InvalidKey):
        await credentials.verify(token)


def test_a_key_says_which_it_is_and_holds_256_random_bits():
    texts = {new_key_text(KEY_ID) for _ in range(100)}

    assert {key_id_of(text.encode()) for text in texts} == {KEY_ID}
    assert len(texts) == 100
    assert {len(text.removeprefix(f"my_{KEY_ID.hex}_")) for text in texts} == {43}  # 43 * 6 bits > 256


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer abc")],
        [(b"authorization", b"bearer  abc ")],
        [(b"x-api-key", b"abc")],
        [(b"host", b"here"), (b"x-api-key", b" abc "), (b"accept", b"*/*")],
    ],
)
def test_a_token_comes_in_either_header(headers):
    assert token_of(headers) == b"abc"


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ([], "needs an access token or an API key"),
        ([(b"x-api-key", b" ")], "needs an access token or an API key"),
        ([(b"authorization", b"Basic abc")], "must be: Bearer"),
        ([(b"authorization", b"Bearer ")], "must be: Bearer"),
        ([(b"authorization", b"Bearer abc"), (b"x-api-key", b"abc")], "send one of the headers"),
        ([(b"x-api-key", b"abc"), (b"x-api-key", b"abd")], "send one of the headers"),
    ],
)
def test_a_request_without_one_clear_token_is_told_what_to_send(headers, text):
    with pytest.raises(Unauthenticated, match=text):
        token_of(headers)
