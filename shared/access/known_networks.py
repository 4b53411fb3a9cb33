"""From where an account was logged in to before: what a flood of log-ins cannot have in numbers.

Redis key; {account} is a keyed hash of the spelling of an address of mail:

    networks:{account}    sorted set of keyed hashes of networks by the time of their last use, of which the
                          newest NETWORKS_MAX stay. Written by each log-in and renewal; expires
                          30 days after the last. Read, for any name alike, where a log-in finds no room.

Who reads Redis learns neither who has an account nor from where: the hashes take a key that is derived from
SECRET_KEY. Where that was replaced, they are written anew with the next renewals.
"""

import asyncio
import hashlib
import hmac
import time
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.access.client_network import client_network
from shared.access.registration import spelling_of
from shared.background import end_tasks

log = structlog.get_logger()

NETWORKS_MAX: Final = 10  # of one account: whoever has one gets no more places by it
_REMEMBERED_S: Final = 30 * 24 * 3600
_TOGETHER: Final = 256  # look-ups that share a round trip
_WAITING_MAX: Final = 2_000  # further ones are answered as if nothing were known

_Pair = tuple[str, bytes]  # the key of an account, and the member that a network is in it


class KnownNetworks:
    """Remembers them, for all API processes together. Look-ups at the same time share one round trip."""

    def __init__(self, redis: Redis, secret_key: str, *, timeout_s: float) -> None:
        self._redis, self._timeout_s = redis, timeout_s
        self._key = hmac.digest(secret_key.encode(), b"modelyard known networks", hashlib.sha256)
        self._asked: list[tuple[_Pair, asyncio.Future[bool]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def remember(self, email: str, address: str) -> None:
        """They have logged in from there, or gone on with a log-in. Lost where Redis is away."""
        if not address:
            return
        key, network = self._pair(email, address)
        try:
            async with asyncio.timeout(self._timeout_s), self._redis.pipeline(transaction=False) as pipe:
                pipe.zadd(key, {network: time.time()})
                pipe.zremrangebyrank(key, 0, -NETWORKS_MAX - 1)
                pipe.expire(key, _REMEMBERED_S)
                await pipe.execute()
        except (RedisError, OSError) as error:  # TimeoutError among them
            log.warning("known network not remembered", error=str(error) or type(error).__name__)

    async def knows(self, email: str, address: str) -> bool:
        """Whether they did, of late; False where Redis does not say so in time."""
        if not address or len(self._asked) >= _WAITING_MAX:
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append((self._pair(email, address), answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all(), name="known networks")
        return await answer

    async def close(self) -> None:
        """End what is being asked; nobody waits for it any more."""
        if self._asking is not None:
            await end_tasks(self._asking)

    async def _ask_all(self) -> None:
        try:
            while self._asked:
                together, self._asked = self._asked[:_TOGETHER], self._asked[_TOGETHER:]
                known = await self._ask([pair for pair, _ in together])
                for (_, answer), is_known in zip(together, known, strict=True):
                    if not answer.done():  # or its client has left
                        answer.set_result(is_known)
        finally:
            self._asking = None

    async def _ask(self, pairs: list[_Pair]) -> list[bool]:
        try:
            async with asyncio.timeout(self._timeout_s), self._redis.pipeline(transaction=False) as pipe:
                for key, network in pairs:
                    pipe.zscore(key, network)
                return [score is not None for score in await pipe.execute()]
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must hear of it
            log.debug("known networks not looked up", error=str(error) or type(error).__name__)
            return [False] * len(pairs)

    def _pair(self, email: str, address: str) -> _Pair:
        account = hmac.digest(self._key, spelling_of(email).encode(errors="replace"), hashlib.sha256)
        network = hmac.digest(self._key, account + client_network(address).encode(), hashlib.sha256)
        return f"networks:{account.hex()[:32]}", network[:16]
