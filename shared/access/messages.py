"""What API processes tell each other about credentials over Redis.

Redis keys:

    access    pub/sub channel: `key:{id}` was revoked or changed, `session:{id}` ended or acts elsewhere,
              `user:{id}` is not what they were, `organization:{id}` was deleted: whatever speaks for them
              is to be looked up again.
              Published and heard by the API.

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


class AccessMemory(Protocol):
    """Whoever remembers credentials."""

    def forget_key(self, key_id: UUID) -> None:
        """It was revoked, or is different."""

    def forget_session(self, session_id: UUID) -> None:
        """It ended, or acts in another organisation."""

    def forget_user(self, user_id: UUID) -> None:
        """Their sessions may have ended, and they may do other things than before."""

    def forget_organization(self, tenant_id: UUID) -> None:
        """Nobody is in it any more."""

    def forget_all(self) -> None:
        """Any may have been revoked or changed."""


class AccessNews:
    """Tells of what changed, after the commit: this process at once, the others within a second.

    Where Redis is away they find out by themselves.
    """

    def __init__(self, redis: Redis, memory: AccessMemory) -> None:
        self._redis, self._memory = redis, memory

    async def tell_key(self, key_id: UUID) -> None:
        """The key was revoked or changed."""
        self._memory.forget_key(key_id)
        await self._announce("key", key_id)

    async def tell_sessions(self, *session_ids: UUID) -> None:
        """These sessions ended, or act in another organisation."""
        for session_id in session_ids:
            self._memory.forget_session(session_id)
            await self._announce("session", session_id)

    async def tell_users(self, *user_ids: UUID) -> None:
        """Their sessions may have ended, or what they may do has changed."""
        for user_id in user_ids:
            self._memory.forget_user(user_id)
            await self._announce("user", user_id)

    async def tell_organization(self, tenant_id: UUID) -> None:
        """The organisation was deleted."""
        self._memory.forget_organization(tenant_id)
        await self._announce("organization", tenant_id)

    async def _announce(self, kind: str, who: UUID) -> None:
        try:
            await self._redis.publish(ACCESS_CHANNEL, f"{kind}:{who}")
        except (RedisError, OSError) as error:
            log.warning("access news not announced", kind=kind, id=str(who), error=str(error))


def follow_access(redis: Redis, memory: AccessMemory) -> Subscriber:
    """Keeps `memory` told, once started."""
    forget = {
        "key": memory.forget_key,
        "session": memory.forget_session,
        "user": memory.forget_user,
        "organization": memory.forget_organization,
    }

    def hear(text: str) -> None:
        kind, _, spelled = text.partition(":")
        who = parse_id(spelled)
        if kind not in forget or who is None:
            log.warning("unreadable access news", text=text)
        else:
            forget[kind](who)

    return Subscriber(redis, ACCESS_CHANNEL, hear=hear, catch_up=memory.forget_all)
