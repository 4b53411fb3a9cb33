"""Makes whoever guesses passwords wait, longer after each try; never somebody else.

After a failed try the next from the same address for the same account has to wait: for the longer of what the
address' own failures for this account call for, and what those of all addresses together do. An address that
has not tried yet never waits: however many others guess, the owner gets in from their own at once.

Redis keys; {account} is a hash of the spelling of an address of mail, whether or not it has an account:

    login:{account}               string, failures from all addresses. Written by each try; removed by a
                                  success; expires an hour after the last try.
    login:{account}:{network}     hash of `failures`, and `at_ms`, the time of the last by Redis's clock;
                                  likewise.
"""

import asyncio
import hashlib
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.access.client_network import client_network
from shared.access.registration import spelling_of
from shared.errors import RateLimited, Unavailable

log = structlog.get_logger()

FREE: Final = 5  # failures of one address for one account that cost nothing
MAX_DELAY_S: Final = 60  # for one address; 1, 2, 4 … seconds before
FREE_OF_ALL: Final = 20  # of all addresses together
MAX_DELAY_OF_ALL_S: Final = 15
_REMEMBERED_S: Final = 3600

# A try counts as a failure until it has succeeded: of many at once, only so many pass as may.
# -> 0 and counted, or the milliseconds until one may be made
_TRY = """
local function delay_ms(failures, free, most_s)
    if failures <= free then return 0 end
    return 1000 * math.min(2 ^ math.min(failures - free - 1, 20), most_s)
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local own = redis.call('HMGET', KEYS[2], 'failures', 'at_ms')
local failures = tonumber(own[1]) or 0
if failures > 0 then
    local all = tonumber(redis.call('GET', KEYS[1])) or 0
    local delay = math.max(
        delay_ms(failures, tonumber(ARGV[1]), tonumber(ARGV[2])),
        delay_ms(all, tonumber(ARGV[3]), tonumber(ARGV[4]))
    )
    -- Not later than a whole delay from now, or a clock set back would shut somebody out.
    local left = math.min(tonumber(own[2]) + delay - now_ms, delay)
    if left > 0 then return math.ceil(left) end
end
redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('HSET', KEYS[2], 'failures', failures + 1, 'at_ms', string.format('%.0f', now_ms))
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 0
"""


class LoginDelayed(RateLimited):
    """Too many wrong passwords from here; the next may be tried later."""

    code = "login_delayed"


class LoginDelays:
    """Counts failures, for all API processes together."""

    def __init__(self, redis: Redis, *, timeout_s: float) -> None:
        self._redis, self._timeout_s = redis, timeout_s
        self._try = redis.register_script(_TRY)

    async def begin(self, email: str, address: str) -> None:
        """Count a try, before the password is looked at.

        Raises:
            LoginDelayed: not yet; it does not count.
            Unavailable: Redis does not answer: without counting nobody guesses.
        """
        keys = _keys(email, address)
        limits = (FREE, MAX_DELAY_S, FREE_OF_ALL, MAX_DELAY_OF_ALL_S, _REMEMBERED_S)
        try:
            async with asyncio.timeout(self._timeout_s):
                left_ms = await self._try(keys, limits)
        except (RedisError, OSError):  # TimeoutError among them
            raise Unavailable("log-ins cannot be counted now; try again") from None
        if left_ms:
            left_s = -(-left_ms // 1000)
            raise LoginDelayed(
                f"too many tries with a wrong password: come back in {left_s} s", retry_after_s=left_s
            )

    async def succeed(self, email: str, address: str) -> None:
        """The password was right: nothing is held against anybody any more. Lost where Redis is away."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._redis.delete(*_keys(email, address))
        except (RedisError, OSError) as error:
            log.warning("failed log-ins not forgotten", error=str(error) or type(error).__name__)


def _keys(email: str, address: str) -> tuple[str, str]:
    # Hashed: a key in Redis is seen by many, and may not be of any length.
    account = hashlib.sha256(spelling_of(email).encode()).hexdigest()[:32]
    return f"login:{account}", f"login:{account}:{client_network(address)}"
