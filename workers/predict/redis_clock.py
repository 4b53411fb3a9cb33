"""Redis's clock, read without asking Redis each time.

Stream entries carry the time of their writing by Redis's clock. Their age is taken by that same
clock, so that a jump of this machine's clock, or one that goes wrong, changes no deadline.
"""

import time

from redis.asyncio import Redis


class RedisClock:
    """The offset of Redis's clock from this process's monotonic one."""

    def __init__(self) -> None:
        self._offset_ms = 0.0

    async def read(self, redis: Redis) -> None:
        """Measure the offset anew; call it now and then."""
        before = time.monotonic()
        seconds, microseconds = await redis.time()
        middle = (before + time.monotonic()) / 2
        self._offset_ms = seconds * 1000 + microseconds / 1000 - middle * 1000

    def age_ms(self, entry_id: bytes) -> float:
        """How long ago the stream entry was written; never below 0."""
        written_ms = int(entry_id.partition(b"-")[0])
        return max(time.monotonic() * 1000 + self._offset_ms - written_ms, 0.0)
