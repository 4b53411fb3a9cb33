"""The connection to PostgreSQL: an engine and its transactions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class Database:
    """A pool of connections, and the transactions on them."""

    def __init__(self, url: str, *, connections: int = 10) -> None:
        self.engine = create_async_engine(
            url,
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,  # or a logged error would carry password hashes
            json_serializer=_to_json,
            json_deserializer=msgspec.json.decode,
            connect_args={"timeout": 10},
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose work is committed at the end, or undone by an error."""
        async with self._sessions.begin() as session:
            yield session

    async def ping(self) -> None:
        """Raise unless the server answers."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
