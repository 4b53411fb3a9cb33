"""What an API key looks like: `my_<id>_<secret>`. No I/O."""

import hashlib
import re
import secrets
from uuid import UUID

PREFIX = "my_"

_SECRET_BYTES = 32
_LAST = 4  # characters of the secret by which its owner knows it again

# The secret: as many characters as token_urlsafe makes of that many bytes.
_KEY = re.compile(rb"my_([0-9a-f]{32})_[A-Za-z0-9_-]{43}")


def new_key_text(key_id: UUID) -> str:
    """A key that nobody can guess: 256 random bits."""
    return f"{key_prefix(key_id)}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def key_prefix(key_id: UUID) -> str:
    """The part of the key that is no secret."""
    return f"{PREFIX}{key_id.hex}"


def last_characters(key_text: str) -> str:
    """The end of the key."""
    return key_text[-_LAST:]


def key_hash(token: bytes) -> str:
    """What is stored of a key. It is too random to be guessed from its hash, however fast that is."""
    return hashlib.sha256(token).hexdigest()


def key_id_of(token: bytes) -> UUID | None:
    """Which key this claims to be; None where it is no key of ours by its looks alone."""
    match = _KEY.fullmatch(token)
    return UUID(match[1].decode()) if match else None
