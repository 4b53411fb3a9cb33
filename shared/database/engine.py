"""The connection to PostgreSQL: an engine and its transactions."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import copy
from typing import Any, Self
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from shared.database.guard import BEGIN_WITH, Guard, GuardedConnection, GuardedSession


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class Database:
    """A pool of connections, and the transactions on them.

    Attributes:
        scope: whose rows its transactions see, in words.
    """

    def __init__(
        self, url: str, *, connections: int = 10, acting_for: Callable[[], UUID | None] | None = None
    ) -> None:
        """Open nothing yet.

        Args:
            acting_for: asked at every transaction for the tenant whose rows it may see, None for nobody's.
                Where there is no one to be asked, all see all: workers serve every tenant.
        """
        self.engine = create_async_engine(
            url,
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,  # or a logged error would carry password hashes
            json_serializer=_to_json,
            json_deserializer=msgspec.json.decode,
            connect_args={"timeout": 10, "connection_class": GuardedConnection},
        )
        self._sessions = async_sessionmaker(
            self.engine, expire_on_commit=False, sync_session_class=GuardedSession
        )
        self._guard = Guard(self.engine) if acting_for is not None else None
        self._acting_for = acting_for
        self.scope = "all tenants" if acting_for is None else "the tenant that acts"

    def for_tenant(self, tenant_id: UUID) -> Self:
        """The same pool, for the rows of this tenant whoever acts; unguarded where it is."""
        return self._scoped(lambda: tenant_id, scope=f"tenant {tenant_id}")

    def across_tenants(self, reason: str) -> Self:
        """The same pool, for the rows of all tenants. It needs a good reason: nothing holds it to one."""
        return self._scoped(None, scope=f"all tenants: {reason}")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose work is committed at the end, or undone by an error.

        Raises:
            GuardBroken: PostgreSQL would not hold it to the tenant that acts.
        """
        info = {BEGIN_WITH: await self._begin_with()}
        async with self._sessions(info=info) as session, session.begin():
            yield session

    async def check_guard(self) -> None:
        """Raise `GuardBroken` if PostgreSQL would not hold transactions to the tenant that acts."""
        if self._guard is not None:
            await self._guard.check()

    async def ping(self) -> None:
        """Raise unless the server answers."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    async def _begin_with(self) -> str:
        if self._guard is None or self._acting_for is None:
            return ""
        return await self._guard.begin_with(self._acting_for())

    def _scoped(self, acting_for: Callable[[], UUID | None] | None, *, scope: str) -> Self:
        """Another scope on the same pool."""
        scoped = copy(self)
        vars(scoped).update(_acting_for=acting_for, scope=scope)
        return scoped
