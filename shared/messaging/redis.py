"""Connections to Redis, with the time limits that every caller needs."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


def connect_redis(url: str, *, timeout_s: float = 5.0, connections: int = 32) -> Redis:
    """A pool of connections. A command that meets a lost connection is tried once more, then fails.

    Args:
        timeout_s: of connecting and of each answer; give blocking commands a limit of their own below it.
    """
    return Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        max_connections=connections,
        retry=Retry(NoBackoff(), 1),
        health_check_interval=30,
    )
