"""Limits and queue in one step of Redis: what a caller's limits let through is queued, in the same script.

A request is counted and queued by one round trip, and exactly, however many API processes there are.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from api.rate_limit import limit_headers, refusal
from shared.errors import RateLimited
from shared.limits.decision import Decision, Standing
from shared.limits.gcra import NOW_US_LUA, TAKE_LUA
from shared.limits.policy import Limit
from shared.predictions.wire import REPLY_TO_FIELD, REQUEST_FIELD

# KEYS: the stream, or nothing to count only; then the key of each limit.
# ARGV: burst and interval (microseconds) of each limit, where replies go, then each request.
# Returns how many requests were let through, the first ones; then of each limit what remains, the
# microseconds until it is full again, and those until one more fits.
ADMIT = (
    TAKE_LUA
    + NOW_US_LUA
    + f"""
local limits = #KEYS - 1
local first = 2 * limits + 2
local granted = #ARGV - first + 1
local answer = {{0}}
for at = 1, limits do
  local taken, remaining, reset, retry = take(KEYS[at + 1], now_us, granted, ARGV[2 * at - 1], ARGV[2 * at])
  granted = taken
  table.insert(answer, remaining)
  table.insert(answer, reset)
  table.insert(answer, retry)
end
if granted > 0 and KEYS[1] ~= '' then
  local entry = {{'{REPLY_TO_FIELD.decode()}', ARGV[first - 1]}}
  for at = first, first + granted - 1 do
    table.insert(entry, '{REQUEST_FIELD.decode()}')
    table.insert(entry, ARGV[at])
  end
  redis.call('XADD', KEYS[1], '*', unpack(entry))
end
answer[1] = granted
return answer
"""
)


class Admission:
    """What a script let through, and where the limits stand after it.

    Attributes:
        granted: how many requests, the first ones of the entry.
        headers: that tell the callers of those how their limits stand.
    """

    __slots__ = ("_decision", "granted", "headers")

    def __init__(self, granted: int, standings: tuple[Standing, ...], retry_us: int) -> None:
        self.granted = granted
        self.headers = limit_headers(Decision(allowed=True, standings=standings))
        self._decision = Decision(allowed=False, standings=standings, retry_us=retry_us)

    def refusal(self) -> RateLimited:
        """What those are told that were not let through."""
        return refusal(self._decision)


_DIGEST = hashlib.sha1(ADMIT.encode(), usedforsecurity=False).hexdigest()  # by which Redis knows the script


def admit_command(
    stream: str, limits: Sequence[Limit], reply_to: str, requests: Sequence[bytes]
) -> tuple[Any, ...]:
    """The command that counts the requests against the limits and queues what they let through."""
    keys = [limit.key for limit in limits]
    numbers = [number for limit in limits for number in (limit.burst, limit.interval_us)]
    return ("EVALSHA", _DIGEST, len(keys) + 1, stream, *keys, *numbers, reply_to, *requests)


def admission_of(limits: Sequence[Limit], told: Sequence[int]) -> Admission:
    """What the script said."""
    standings = tuple(
        Standing(limit, told[at], told[at + 1])
        for limit, at in zip(limits, range(1, len(told), 3), strict=True)
    )
    return Admission(told[0], standings, max(told[3::3], default=0))
