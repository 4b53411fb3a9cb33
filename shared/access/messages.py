"""What API processes tell each other about credentials over Redis.

Redis keys:

    access    pub/sub channel: `key:{id}` was revoked or changed, `user:{id}` has another role somewhere, or
              none. Published and heard by the API.

It is only a hint: PostgreSQL knows, and every process looks there again after a few seconds.
"""

from typing import Protocol
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.ids import parse_id
from shared.messaging.subscriber import Subscriber

log = structlog.get_logger()

ACCESS_CHANNEL = "access"


class KeyMemory(Protocol):
    """Whoever remembers keys."""

    def forget_key(self, key_id: UUID) -> None:
        """It was revoked, or is different."""

    def forget_user(self, user_id: UUID) -> None:
        """What they may do has changed."""

    def forget_all(self) -> None:
        """Any may have been revoked or changed."""


async def announce_key(redis: Redis, key_id: UUID) -> None:
    """Tell every API process that the key was revoked or changed.

    Where Redis is away they find out by themselves.
    """
    await _announce(redis, f"key:{key_id}")


async def announce_user(redis: Redis, user_id: UUID) -> None:
    """Tell every API process to look up again what the user may do."""
    await _announce(redis, f"user:{user_id}")


def follow_keys(redis: Redis, memory: KeyMemory) -> Subscriber:
    """Keeps `memory` told, once started."""
    kinds = {"key": memory.forget_key, "user": memory.forget_user}

    def hear(text: str) -> None:
        kind, _, spelled = text.partition(":")
        named = parse_id(spelled)
        if kind not in kinds or named is None:
            log.warning("unreadable access news", text=text)
        else:
            kinds[kind](named)

    return Subscriber(redis, ACCESS_CHANNEL, hear=hear, catch_up=memory.forget_all)


async def _announce(redis: Redis, text: str) -> None:
    try:
        await redis.publish(ACCESS_CHANNEL, text)
    except (RedisError, OSError) as error:
        log.warning("access news not announced", news=text, error=str(error))
