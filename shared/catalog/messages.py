"""What processes tell each other about the catalog over Redis.

Redis keys:

    predict:validations   sorted set, Unix milliseconds by version id: versions that wait for their verdict.
                          Written by the API and the scheduler, popped by predict workers. Does not expire:
                          an id whose version is gone, or has its verdict, is popped and forgotten.
    catalog               pub/sub channel: `version:{id}` has its verdict; `model:{id}` serves another
                          version, has other settings, or is gone. Published by workers and the API, heard
                          by both.

All of it is only a hint: PostgreSQL knows, and whoever waits looks there too.
"""

import time
from collections.abc import Iterable
from uuid import UUID

from redis.asyncio import Redis

CATALOG_CHANNEL = "catalog"
VALIDATIONS_KEY = "predict:validations"


async def ask_for_validation(redis: Redis, version_ids: Iterable[UUID]) -> None:
    """Have predict workers open these versions' artifacts. Asking twice is the same as once."""
    now_ms = int(time.time() * 1000)
    waiting = {str(version_id): now_ms for version_id in version_ids}
    if waiting:
        await redis.zadd(VALIDATIONS_KEY, waiting, nx=True)


async def announce_version(redis: Redis, version_id: UUID) -> None:
    """Tell every API process that the version has its verdict."""
    await redis.publish(CATALOG_CHANNEL, f"version:{version_id}")


async def announce_model(redis: Redis, model_id: UUID) -> None:
    """Tell every process that another version of the model serves, or none, or that its settings changed."""
    await redis.publish(CATALOG_CHANNEL, f"model:{model_id}")
