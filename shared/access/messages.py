"""What API processes tell each other about credentials over Redis.

Redis keys:

    access    pub/sub channel: `key:{id}` was revoked. Published and heard by the API.

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
        """It was revoked."""

    def forget_all(self) -> None:
        """Any may have been revoked."""


async def announce_key(redis: Redis, key_id: UUID) -> None:
    """Tell every API process that the key was revoked. Where Redis is away they find out by themselves."""
    try:
        await redis.publish(ACCESS_CHANNEL, f"key:{key_id}")
    except (RedisError, OSError) as error:
        log.warning("revocation not announced", key_id=str(key_id), error=str(error))


def follow_keys(redis: Redis, memory: KeyMemory) -> Subscriber:
    """Keeps `memory` told, once started."""

    def hear(text: str) -> None:
        kind, _, spelled = text.partition(":")
        key_id = parse_id(spelled)
        if kind != "key" or key_id is None:
            log.warning("unreadable access news", text=text)
        else:
            memory.forget_key(key_id)

    return Subscriber(redis, ACCESS_CHANNEL, hear=hear, catch_up=memory.forget_all)
