"""Log-ins that are under way, and identities that wait to be linked. Each is taken once.

Redis keys:

    oidc:login:{hash}    string, JSON of `PendingLogin`, by the SHA-256 of the state. Written by the API as a
                         log-in begins; gone when it is finished, or after ten minutes.
    oidc:link:{hash}     string, JSON of `Identity`, by the SHA-256 of the link token. Written by the API for
                         who logged in at the provider and has an account without it; likewise.
"""

import hashlib
from typing import Final

import msgspec
from redis.asyncio import Redis

from shared.access.oidc.identity import Identity

LASTS_S: Final = 600


class PendingLogin(msgspec.Struct, frozen=True, kw_only=True):
    """What must come back from the provider, and to whom."""

    browser_hash: str  # of the value of the cookie
    nonce: str
    verifier: str
    cookies: bool = False  # whoever logs in gets their tokens so


class Pending:
    """What waits, in Redis. Only hashes of what proves something are in the names of keys."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def put_login(self, state: str, login: PendingLogin) -> None:
        """Remember a log-in."""
        await self._redis.set(f"oidc:login:{hashed(state)}", msgspec.json.encode(login), ex=LASTS_S)

    async def take_login(self, state: str) -> PendingLogin | None:
        """The log-in, which nobody else gets; None where there is none, or no longer."""
        found = await self._redis.getdel(f"oidc:login:{hashed(state)}")
        return None if found is None else msgspec.json.decode(found, type=PendingLogin)

    async def put_link(self, token: str, identity: Identity) -> None:
        """Remember an identity."""
        await self._redis.set(f"oidc:link:{hashed(token)}", msgspec.json.encode(identity), ex=LASTS_S)

    async def take_link(self, token: str) -> Identity | None:
        """The identity, which nobody else gets; None where there is none, or no longer."""
        found = await self._redis.getdel(f"oidc:link:{hashed(token)}")
        return None if found is None else msgspec.json.decode(found, type=Identity)


def hashed(secret: str) -> str:
    """All that is kept of what has 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
