"""Counts requests in Redis, for all processes together. The keys are those of shared/limits/gcra.py."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.background import end_tasks
from shared.errors import Unavailable
from shared.limits.decision import Decision, Standing
from shared.limits.gcra import NOW_US_LUA, TAKE_LUA
from shared.limits.policy import Limit
from shared.metrics.registry import counter

log = structlog.get_logger()

_failed_open = counter(
    "modelyard_rate_limit_failed_open_total", "Requests that passed uncounted, as Redis did not answer."
)

_MOST_TOGETHER = 256  # requests that one script counts: it holds up all of Redis meanwhile

# Takes from every limit of a request, or from none. Of each request: how many limits, its cost, and the
# burst and interval of each limit; answered by: allowed, retry_us, and remaining and reset_us of each limit.
_TAKE_ALL = (
    TAKE_LUA
    + NOW_US_LUA
    + """
local answer, key, arg = {}, 0, 1
while arg <= #ARGV do
    local count, cost = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1])
    local allowed, retry_us = 1, 0
    for i = 1, count do
        local burst, interval_us = tonumber(ARGV[arg + 2 * i]), tonumber(ARGV[arg + 2 * i + 1])
        local _, remaining, reset_us = take(KEYS[key + i], now_us, 0, burst, interval_us)
        if remaining < cost then
            allowed = 0
            retry_us = math.max(retry_us, reset_us - (burst - cost) * interval_us)
        end
    end
    table.insert(answer, allowed)
    table.insert(answer, retry_us)
    for i = 1, count do
        local burst, interval_us = tonumber(ARGV[arg + 2 * i]), tonumber(ARGV[arg + 2 * i + 1])
        local _, remaining, reset_us = take(KEYS[key + i], now_us, allowed * cost, burst, interval_us)
        table.insert(answer, remaining)
        table.insert(answer, reset_us)
    end
    key, arg = key + count, arg + 2 + 2 * count
end
return answer
"""
)


class _Asked(msgspec.Struct, frozen=True):
    limits: tuple[Limit, ...]
    cost: int
    answer: "asyncio.Future[Decision]"

    def arguments(self) -> list[int]:
        return [
            len(self.limits),
            self.cost,
            *(n for each in self.limits for n in (each.burst, each.interval_us)),
        ]


class RateLimiter:
    """Lets requests through as their limits allow. Those that ask at the same time share one round trip.

    Where Redis does not answer in time, requests pass uncounted: a limit protects the platform, and must
    not be what takes it down. `fail_closed` is for those that guess passwords.

    Attributes:
        failed_open: requests that passed uncounted since the process began.
    """

    def __init__(self, redis: Redis, *, timeout_s: float) -> None:
        self._script = redis.register_script(_TAKE_ALL)
        self._timeout_s = timeout_s
        self._asked: list[_Asked] = []
        self._asking: asyncio.Task[None] | None = None
        self._is_out = False  # Redis did not answer the last time
        self.failed_open = 0

    async def take(self, limits: tuple[Limit, ...], *, cost: int = 1, fail_closed: bool = False) -> Decision:
        """Count a request against all of `limits`, or against none if one of them is exceeded.

        Args:
            cost: how many it counts as; never let through where that is more than a limit's burst.

        Raises:
            Unavailable: Redis does not answer, and `fail_closed` is asked for.
        """
        if not limits:
            return Decision(allowed=True)
        asked = _Asked(limits, cost, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all(), name="rate limiter")
        try:
            return await asked.answer
        except (RedisError, OSError):  # TimeoutError among them
            if fail_closed:
                raise Unavailable("requests of this kind cannot be counted now; try again") from None
            self.failed_open += 1
            _failed_open.inc()
            return Decision(allowed=True)

    async def close(self) -> None:
        """End what is being asked; nobody waits for it any more."""
        if self._asking is not None:
            await end_tasks(self._asking)

    async def _ask_all(self) -> None:
        try:
            while self._asked:
                together, self._asked = self._asked[:_MOST_TOGETHER], self._asked[_MOST_TOGETHER:]
                await self._ask(together)
        finally:
            self._asking = None

    async def _ask(self, together: Sequence[_Asked]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                numbers = await self._run(together)
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must hear of it
            self._note(error)
            for asked in together:
                _fail(asked.answer, error)
        else:
            self._note(None)
            _hand_out(together, numbers)

    async def _run(self, together: Sequence[_Asked]) -> list[int]:
        keys = [limit.key for asked in together for limit in asked.limits]
        numbers: list[int] = await self._script(keys, [n for asked in together for n in asked.arguments()])
        return numbers

    def _note(self, error: Exception | None) -> None:
        """Say once that an outage began, and once that it ended."""
        if error is not None and not self._is_out:
            log.warning("requests are not counted", error=str(error) or type(error).__name__)
        elif error is None and self._is_out:
            log.info("requests are counted again", failed_open=self.failed_open)
        self._is_out = error is not None


def _hand_out(together: Sequence[_Asked], numbers: list[int]) -> None:
    given = iter(numbers)
    for asked in together:
        allowed, retry_us = next(given), next(given)
        standings = tuple(Standing(limit, next(given), next(given)) for limit in asked.limits)
        if not asked.answer.done():  # or its client has left
            asked.answer.set_result(Decision(bool(allowed), standings, retry_us))


def _fail(answer: "asyncio.Future[Any]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
