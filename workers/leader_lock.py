"""One leader at a time: who holds an advisory lock of PostgreSQL, for as long as its session lives."""

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

log = structlog.get_logger()

LOCK_KEY = int.from_bytes(b"schedule")  # one bigint; other uses of advisory locks must take another

# PostgreSQL ends the session of a leader that has been silent this long: one that was frozen, or cut
# off by the network, and cannot know it. Confirm well within it.
SILENCE_LIMIT_MS = 10_000
ANSWER_LIMIT_S = 5

_TROUBLE = (SQLAlchemyError, OSError)  # TimeoutError is an OSError


class LeaderLock:
    """A lock in the database that one process holds. Losing the connection is losing the lock."""

    def __init__(self, database_url: str, *, silence_limit_ms: int = SILENCE_LIMIT_MS) -> None:
        self._engine = create_async_engine(
            database_url,
            poolclass=NullPool,  # a session that nothing else shares
            isolation_level="AUTOCOMMIT",  # an open transaction would be held for ever
            connect_args={
                "timeout": ANSWER_LIMIT_S,
                "command_timeout": ANSWER_LIMIT_S,
                "server_settings": {
                    "application_name": "modelyard scheduler",
                    "idle_session_timeout": str(silence_limit_ms),
                },
            },
        )
        self._connection: AsyncConnection | None = None

    async def acquire(self) -> bool:
        """Take the lock if nobody holds it. False also where the database does not answer."""
        try:
            connection = await self._engine.connect()
        except _TROUBLE as error:
            log.warning("leader_lock_unreachable", error=str(error))
            return False
        self._connection = connection
        if await self._answers("SELECT pg_try_advisory_lock(:key)", key=LOCK_KEY):
            return True
        await self.release()
        return False

    async def confirm(self) -> bool:
        """Whether the lock is still held; after False it must be acquired again."""
        if await self._answers("SELECT 1"):
            return True
        await self.release()
        return False

    async def release(self) -> None:
        """End the session, and the lock with it. Harmless where there is none."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await connection.close()
        except _TROUBLE as error:
            log.debug("leader_lock_was_broken", error=str(error))

    async def _answers(self, query: str, **parameters: int) -> bool:
        if self._connection is None:
            return False
        try:
            return bool(await self._connection.scalar(text(query), parameters))
        except _TROUBLE as error:
            log.warning("leader_lock_lost", error=str(error))
            return False
