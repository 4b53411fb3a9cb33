"""The Dramatiq broker on Redis, with every default that matters said aloud."""

import asyncio
from uuid import UUID

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Retries, ShutdownNotifications
from dramatiq.middleware.asyncio import AsyncIO

from shared.messaging.actors import ActorAddress
from shared.settings import Settings


def connect_broker(settings: Settings) -> RedisBroker:
    """A broker on its own database of Redis. It is not safe to carry over a fork."""
    return RedisBroker(
        url=settings.broker_redis_url,
        middleware=[
            ShutdownNotifications(),
            # A lost message is sent again from Postgres, so that retries here only bridge a short trouble.
            Retries(max_retries=3, min_backoff=500, max_backoff=5_000),
            AsyncIO(),
        ],
        # A dead worker's messages come back on a random command in `maintenance_chance` of a million;
        # the default of one in a thousand took minutes.
        maintenance_chance=200_000,
        heartbeat_timeout=15_000,
    )


class Messenger:
    """Sends messages that carry ids, never rows. Send only after the commit."""

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker

    async def send(self, address: ActorAddress, *arguments: UUID | int) -> None:
        """Ask for the actor at `address` to be run with `arguments`."""
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=address.queue,
            actor_name=address.actor,
            args=tuple(str(a) if isinstance(a, UUID) else a for a in arguments),
            kwargs={},
            options={},
        )
        await asyncio.to_thread(self._enqueue, message)

    async def waiting(self, queue: str) -> int:
        """How many messages lie in the queue. Those that a worker has taken are not counted."""
        key = f"{self._broker.namespace}:{queue}"
        return int(await asyncio.to_thread(self._broker.client.llen, key))

    def _enqueue(self, message: "dramatiq.Message[None]") -> None:
        self._broker.declare_queue(message.queue_name)
        self._broker.enqueue(message)

    def close(self) -> None:
        """Close the connections."""
        self._broker.close()
