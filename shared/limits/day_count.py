"""How many predictions were counted against a tenant's quota of today. The key is that of gcra.py."""

from uuid import UUID

from redis.asyncio import Redis

from shared.limits.policy import day_key


async def counted_today(redis: Redis, tenant_id: UUID) -> int:
    """Since midnight in UTC, or since the tenant has had a quota."""
    return int(await redis.get(day_key(tenant_id)) or 0)
