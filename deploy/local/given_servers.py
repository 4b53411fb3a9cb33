"""Servers that the operator names: asked once, so that a wrong URL is one line."""

import asyncpg
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from deploy.local.errors import CannotStart
from shared.database.engine import Database
from shared.messaging.redis import connect_redis
from shared.storage import checking
from shared.storage.errors import StorageAway, StorageRefused
from shared.storage.store import Storage


async def check_postgres(url: str) -> None:
    """Raise unless PostgreSQL answers there."""
    try:
        database = Database(url, connections=1)
        try:
            await database.ping()
        finally:
            await database.close()
    except (OSError, SQLAlchemyError, asyncpg.PostgresError) as error:
        raise CannotStart(f"DATABASE_URL: no PostgreSQL answers there: {_first_line(error)}") from error


async def check_redis(url: str) -> None:
    """Raise unless Redis answers there."""
    try:
        client = connect_redis(url)
        try:
            await client.ping()
        finally:
            await client.aclose()
    except (OSError, ValueError, RedisError) as error:
        raise CannotStart(f"REDIS_URL: no Redis answers there: {_first_line(error)}") from error


async def check_storage(url: str) -> None:
    """Raise unless the folder or bucket can be written."""
    try:
        await checking.check_storage(Storage(url))
    except (StorageAway, StorageRefused, OSError) as error:
        raise CannotStart(f"STORAGE_URL: {_first_line(error)}; {checking.HINT}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
