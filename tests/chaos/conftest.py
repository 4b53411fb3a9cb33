"""Servers of a test's own, which it may kill, and settings by which what was lost is soon missed.

`make chaos` runs fifty seeds of each test, a run of all tests the first.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from shared.database.engine import Database
from shared.messaging.redis import connect_redis
from shared.settings import Settings
from tests.fixtures.mortal_servers import MortalServers, mortal_servers
from tests.fixtures.platform import find_free_port
from tests.fixtures.servers import settings_for

BRISK = {
    "lease_s": 2.0,
    "resend_after_s": 2.0,
    "job_threads": 1,
    "chunk_bytes": 64 * 1024,
    "chunk_attempts": 1000,  # every kill costs one; what fails here shall fail for a reason of its own
    "webhook_timeout_s": 2.0,
    "upload_per_minute": 100_000,  # whoever is not heard asks again at once
    "write_per_minute": 100_000,
}


@pytest.fixture
async def servers() -> AsyncIterator[MortalServers]:
    async with mortal_servers() as servers:
        yield servers


@pytest.fixture
def settings(servers: MortalServers, tmp_path: Path) -> Settings:
    settings = settings_for(servers.database_url, servers.redis_url, tmp_path)
    return msgspec.structs.replace(settings, port=find_free_port(), **BRISK)


@pytest.fixture
async def database(servers: MortalServers) -> AsyncIterator[Database]:
    database = Database(servers.database_url)
    yield database
    await database.close()


@pytest.fixture
async def redis(servers: MortalServers) -> AsyncIterator[Redis]:
    client = connect_redis(servers.redis_url)
    yield client
    await client.aclose()
