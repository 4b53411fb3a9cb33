"""Which predict workers live, which versions each of them holds, and what is asked of them.

Heartbeats and wishes are stamped and judged by Redis's own clock, so that no worker's clock matters.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from shared.predictions.keys import WANTED, WANTED_MORE, WORKER_STATES, WORKERS

MISSED_BEATS = 3  # after so many a worker is taken for dead
WISH_FOR_MORE_MS = 3000  # it is repeated while the need lasts

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

# KEYS: the zset of wishes for more. ARGV: version ids.
_ASK_FOR_MORE = """
local now = redis.call('TIME')
for _, version in ipairs(ARGV) do
  redis.call('ZADD', KEYS[1], now[1] * 1000 + math.floor(now[2] / 1000), version)
end
"""

# KEYS as above. ARGV: how old a wish may be, in milliseconds; then the versions that the asking worker holds.
_TAKE_WISH = """
local now = redis.call('TIME')
local oldest = now[1] * 1000 + math.floor(now[2] / 1000) - ARGV[1]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. oldest)
local held = {}
for i = 2, #ARGV do held[ARGV[i]] = true end
for _, version in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if not held[version] then
    redis.call('ZREM', KEYS[1], version)
    return version
  end
end
return false
"""


class HeldVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version that a worker answers for.

    Attributes:
        hosts: processes that hold it there, those that are being started included.
        busy: the fraction of the last second in which all of them were computing.
    """

    version_id: UUID
    hosts: int
    busy: float = 0.0


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """What a predict worker tells of itself at each heartbeat.

    Attributes:
        capacity: versions that it may hold.
        versions: those that it holds, or is loading.
        held: those that it answers for now.
        machine: where it runs: workers of one machine share its memory.
        memory_bytes: that its models have for themselves.
        memory_budget_bytes: that they may have.
        room_for_pins: versions that it could still hold for good, were it asked to.
    """

    worker_id: str
    capacity: int
    versions: list[UUID]
    held: list[HeldVersion] = []
    machine: str = ""
    memory_bytes: int = 0
    memory_budget_bytes: int = 0
    room_for_pins: int = 0

    def hosts_of(self, version_id: UUID) -> int:
        """The processes that hold the version there; one for a version that is being loaded."""
        hosts = next((held.hosts for held in self.held if held.version_id == version_id), 0)
        return hosts or int(version_id in self.versions)


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
        """The workers whose heart beats, but for those of which another release says what we cannot read."""
        states = await self._living(keys=[WORKERS, WORKER_STATES], args=[self._silence_ms])
        return [state for state in map(_readable, states) if state is not None]

    async def leave(self, worker_id: str) -> None:
        """Say that this worker stops, so that nobody waits for its silence to be noticed."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(WORKERS, worker_id)
            pipe.hdel(WORKER_STATES, worker_id)
            await pipe.execute()


def _readable(state: bytes) -> WorkerState | None:
    try:
        return msgspec.msgpack.decode(state, type=WorkerState)
    except msgspec.MsgspecError:
        return None


class WishesForMore:
    """Versions whose workers are saturated, for workers that have room and do not hold them."""

    def __init__(self, redis: Redis) -> None:
        self._ask = redis.register_script(_ASK_FOR_MORE)
        self._take = redis.register_script(_TAKE_WISH)

    async def ask(self, version_ids: Sequence[UUID]) -> None:
        """Wish that another worker holds these too; forgotten soon unless it is repeated."""
        if version_ids:
            await self._ask(keys=[WANTED_MORE], args=[str(version_id) for version_id in version_ids])

    async def take(self, *, held: Iterable[UUID]) -> UUID | None:
        """The oldest wish for a version that is not among those held; nobody else gets it."""
        found = await self._take(keys=[WANTED_MORE], args=[WISH_FOR_MORE_MS, *map(str, held)])
        return UUID(found.decode()) if found else None


async def ask_to_load(redis: Redis, version_ids: Iterable[UUID], *, now_ms: int) -> None:
    """Ask any worker with room to load the versions. Asking twice is asking once."""
    await redis.zadd(WANTED, {str(version_id): now_ms for version_id in version_ids}, nx=True)
