"""Which predict workers live, and which versions each of them holds.

Heartbeats are stamped and judged by Redis's own clock, so that no worker's clock matters.
"""

from collections.abc import Iterable
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from shared.predictions.keys import WANTED, WORKER_STATES, WORKERS

MISSED_BEATS = 3  # after so many a worker is taken for dead

# KEYS: the zset of heartbeats, the hash of states. ARGV: worker id, packed state.
_BEAT = """
local now = redis.call('TIME')
redis.call('ZADD', KEYS[1], now[1] * 1000 + math.floor(now[2] / 1000), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
"""

# KEYS as above. ARGV: milliseconds of silence after which a worker is dead. Returns the states of the living.
_LIVING = """
local now = redis.call('TIME')
local oldest = now[1] * 1000 + math.floor(now[2] / 1000) - ARGV[1]
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. oldest)
for _, worker in ipairs(dead) do
  redis.call('ZREM', KEYS[1], worker)
  redis.call('HDEL', KEYS[2], worker)
end
return redis.call('HVALS', KEYS[2])
"""


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """What a predict worker tells of itself at each heartbeat."""

    worker_id: str
    capacity: int  # versions that it may hold
    versions: list[UUID]  # those it holds, or is loading


class Heartbeats:
    """Writes and reads the heartbeats of predict workers."""

    def __init__(self, redis: Redis, *, heartbeat_s: float) -> None:
        self._silence_ms = int(heartbeat_s * MISSED_BEATS * 1000)
        self._beat = redis.register_script(_BEAT)
        self._living = redis.register_script(_LIVING)
        self._redis = redis

    async def beat(self, state: WorkerState) -> None:
        """Say that this worker lives, and what it holds."""
        await self._beat(keys=[WORKERS, WORKER_STATES], args=[state.worker_id, msgspec.msgpack.encode(state)])

    async def living(self) -> list[WorkerState]:
        """The workers whose heart beats."""
        states = await self._living(keys=[WORKERS, WORKER_STATES], args=[self._silence_ms])
        return [msgspec.msgpack.decode(state, type=WorkerState) for state in states]

    async def leave(self, worker_id: str) -> None:
        """Say that this worker stops, so that nobody waits for its silence to be noticed."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(WORKERS, worker_id)
            pipe.hdel(WORKER_STATES, worker_id)
            await pipe.execute()


async def ask_to_load(redis: Redis, version_ids: Iterable[UUID], *, now_ms: int) -> None:
    """Ask any worker with room to load the versions. Asking twice is asking once."""
    await redis.zadd(WANTED, {str(version_id): now_ms for version_id in version_ids}, nx=True)
