"""Can this process answer requests now? Load balancers ask, and send nobody while it says no."""

import asyncio
from collections.abc import Awaitable

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from shared.database.engine import Database
from shared.errors import PlatformError
from shared.predictions.placement import Heartbeats

_CHECK_TIMEOUT_S = 2.0


class NoWorker(PlatformError):
    """No predict worker is alive."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether requests can be answered, and what each check found: `ok`, or what is wrong."""

    ready: bool
    live: bool = True
    checks: dict[str, str] = {}


class Readiness:
    """Looks at everything that answering needs."""

    def __init__(self, database: Database, redis: Redis, *, heartbeats: Heartbeats) -> None:
        self._database, self._redis, self._heartbeats = database, redis, heartbeats
        self.draining = False  # set shortly before the process stops

    async def check(self) -> Health:
        """Look at everything, side by side."""
        if self.draining:
            return Health(ready=False, checks={"process": "draining"})
        names = ("postgres", "redis", "predict_workers")
        found = await asyncio.gather(
            _outcome(self._database.ping()), _outcome(self._ping_redis()), _outcome(self._find_worker())
        )
        return Health(ready=all(each == "ok" for each in found), checks=dict(zip(names, found, strict=True)))

    async def _ping_redis(self) -> None:
        await self._redis.ping()

    async def _find_worker(self) -> None:
        if not await self._heartbeats.living():
            raise NoWorker("no predict worker is alive")


async def _outcome(check: Awaitable[None]) -> str:
    """`ok` or what is wrong, without the addresses that errors of servers may name."""
    try:
        await asyncio.wait_for(check, _CHECK_TIMEOUT_S)
    except NoWorker as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT_S:.0f} s"
    except (SQLAlchemyError, RedisError, OSError):
        return "not reachable"
    return "ok"
