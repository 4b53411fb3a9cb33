"""Publishes the metrics of a process whose event loop is not its own."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shared.messaging.redis import connect_redis
from shared.metrics.publisher import MetricsPublisher


@contextmanager
def publishing_metrics(redis_url: str, kind: str) -> Iterator[None]:
    """Publish from a thread until the block ends.

    Args:
        kind: the Procfile entry.
    """
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(
        target=loop.run_until_complete, args=(_publish(redis_url, kind, stop),), name="metrics", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _publish(redis_url: str, kind: str, stop: asyncio.Event) -> None:
    redis = connect_redis(redis_url, connections=2)
    publisher = MetricsPublisher(redis, kind)
    await publisher.start()
    await stop.wait()
    await publisher.close()
    await redis.aclose()
