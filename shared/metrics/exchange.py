"""Where processes leave their metrics for each other.

Redis keys:
    metrics:processes   hash   process id -> packed Snapshot, the newest; written by the process about once a
                               second; its field goes when it leaves, or was silent for SILENCE_MS
    metrics:beats       zset   process ids by when that was, in milliseconds of Redis's clock; likewise
    metrics:departed    hash   process id -> packed Snapshot, the last of one that left or died, so that
                               totals do not fall; and under OLDER the sum of those that departed longest
                               ago. Written by whoever notices; never expires

A process that was silent, and taken for dead, takes its own back from the departed when it speaks again.
If Redis loses everything, totals begin again with what the living have counted.
"""

from typing import Any, Final

import msgspec
import structlog
from redis.asyncio import Redis

from shared.metrics.family import Family, Kind, merge

log = structlog.get_logger()

PROCESSES: Final = "metrics:processes"
BEATS: Final = "metrics:beats"
DEPARTED: Final = "metrics:departed"

SILENCE_MS: Final = 10_000  # without a snapshot, after which a process is dead
MOST_DEPARTED: Final = 32  # that are kept apart, in case they come back
OLDER: Final = "older"
_KEYS = [PROCESSES, BEATS, DEPARTED]

# What the scripts have in common. KEYS: processes, beats, departed.
_DEPART = """
local function depart(id)
  local last = redis.call('HGET', KEYS[1], id)
  if last then redis.call('HSET', KEYS[3], id, last) end
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
end
"""

# ARGV: process id, its snapshot, milliseconds of silence after which one is dead. Returns how many departed.
_PUBLISH = f"""{_DEPART}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. now - ARGV[3])) do depart(id) end
return redis.call('HLEN', KEYS[3])
"""

# ARGV: process id, its last snapshot.
_LEAVE = f"""{_DEPART}
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
depart(ARGV[1])
"""

# Replaces some of the departed by their sum, if nothing else touched them since they were read.
# ARGV: the field of the sum, the sum, then field and value of each, as they were read.
_REPLACE = """
for i = 3, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) ~= ARGV[i + 1] then return 0 end
end
for i = 3, #ARGV, 2 do redis.call('HDEL', KEYS[1], ARGV[i]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


class Snapshot(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What a process counted since it started.

    Attributes:
        kind: its Procfile entry.
        process: which of them it is.
        at_ms: when it was taken, by the process's own clock: only to tell the older of the departed.
    """

    kind: str
    process: str
    at_ms: int
    families: list[Family]


class Everything(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshots of all processes."""

    living: list[Snapshot]
    departed: list[Snapshot]


class Exchange:
    """Writes and reads the snapshots."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._publish = redis.register_script(_PUBLISH)
        self._leave = redis.register_script(_LEAVE)
        self._replace = redis.register_script(_REPLACE)

    async def publish(self, snapshot: Snapshot) -> None:
        """Replace what the process said before; notice who died meanwhile."""
        packed = msgspec.msgpack.encode(snapshot)
        departed: int = await self._publish(keys=_KEYS, args=[snapshot.process, packed, SILENCE_MS])
        if departed > MOST_DEPARTED:
            await self._sum_older()

    async def leave(self, snapshot: Snapshot) -> None:
        """Say the last word of a process that stops."""
        await self._leave(keys=_KEYS, args=[snapshot.process, msgspec.msgpack.encode(snapshot)])

    async def read(self) -> Everything:
        """Everything that processes said, at one moment."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hvals(PROCESSES)
            pipe.hvals(DEPARTED)
            living, departed = await pipe.execute()
        return Everything(
            living=[_unpacked(each) for each in living], departed=[_unpacked(each) for each in departed]
        )

    async def _sum_older(self) -> None:
        """Make one of the departed that left longest ago, and of what was summed before."""
        packed: Any = await self._redis.hgetall(DEPARTED)
        sums = {name: text for name, text in packed.items() if name == OLDER.encode()}
        apart = sorted(packed.keys() - sums.keys(), key=lambda name: _unpacked(packed[name]).at_ms)
        summed = sums | {name: packed[name] for name in apart[: -MOST_DEPARTED // 2]}
        total = sum_of([_unpacked(text) for text in summed.values()])
        read = [part for item in summed.items() for part in item]
        await self._replace(keys=[DEPARTED], args=[OLDER, msgspec.msgpack.encode(total), *read])


def sum_of(departed: list[Snapshot]) -> Snapshot:
    """All that departed processes counted. What a gauge said ended with its process."""
    families = (family for each in departed for family in each.families if family.kind is not Kind.GAUGE)
    return Snapshot(kind=OLDER, process=OLDER, at_ms=0, families=merge(families))


def _unpacked(packed: bytes) -> Snapshot:
    """What another process packed; nothing if it is of a release whose words are not ours."""
    try:
        return msgspec.msgpack.decode(packed, type=Snapshot)
    except msgspec.MsgspecError as error:
        log.warning("metrics of another release left out", error=str(error))
        return Snapshot(kind="unknown", process="unknown", at_ms=0, families=[])
