"""`python -m workers.webhooks`: one delivery attempt a message.

Nothing is retried from here: what failed has its next time in Postgres, and the scheduler asks again.
"""

import os
from uuid import UUID

import dramatiq
import httpx
import structlog
from dramatiq.brokers.redis import RedisBroker

from shared.database.engine import Database
from shared.logs import configure_logs
from shared.messaging.actors import DELIVER, WEBHOOKS_QUEUE
from shared.messaging.broker import Messenger, connect_broker
from shared.settings import Settings
from shared.webhooks.asking import next_in_turn
from shared.webhooks.delivery import Attempt, Outcome
from shared.webhooks.sender import Sender
from shared.webhooks.service import claim_attempt, record_outcome
from workers.dramatiq_worker import run_worker
from workers.metrics_thread import publishing_metrics

log = structlog.get_logger()


def declare_actors(broker: RedisBroker, *, settings: Settings, database: Database, sender: Sender) -> None:
    """Declare what the messages of the queue ask for."""
    messenger = Messenger(broker)

    async def deliver(delivery_id: str) -> None:
        """Make one attempt at a delivery.

        Safe to repeat: the claim is refused while another attempt runs, and until the next is due.
        """
        waiting = await attempt_delivery(
            UUID(delivery_id), settings=settings, database=database, sender=sender
        )
        for each in waiting:
            await messenger.send(DELIVER, each)

    dramatiq.actor(actor_name=DELIVER.actor, queue_name=DELIVER.queue, broker=broker)(deliver)


async def attempt_delivery(
    delivery_id: UUID, *, settings: Settings, database: Database, sender: Sender
) -> list[UUID]:
    """Claim the delivery, send it, and write down what came of it. Nothing if it cannot be claimed.

    Returns:
        The delivery to ask for next: it waits for the place that this attempt had.
    """
    async with database.transaction() as session:
        attempt = await claim_attempt(session, delivery_id, settings)
    if attempt is None:
        return []
    outcome = await sender.send(attempt)
    async with database.transaction() as session:
        await record_outcome(session, attempt, outcome)
        waiting = await next_in_turn(session, attempt, settings)
    _log_outcome(attempt, outcome)
    return waiting


def _log_outcome(attempt: Attempt, outcome: Outcome) -> None:
    log.info(
        "delivery_attempted",
        delivery_id=str(attempt.delivery_id),
        event_type=attempt.event_type,
        host=httpx.URL(attempt.url).host,  # never the whole URL: its path may be a secret
        number=attempt.number,
        status_code=outcome.status_code,
        error=outcome.error,
        latency_ms=outcome.latency_ms,
    )


def main() -> None:
    """Deliver until a signal says stop."""
    settings = Settings.from_env(os.environ)
    configure_logs(settings, "webhooks")
    database = Database(settings.database_url)
    broker = connect_broker(settings)
    declare_actors(broker, settings=settings, database=database, sender=Sender(settings))
    with publishing_metrics(settings.redis_url, "webhooks"):
        run_worker(
            broker,
            [WEBHOOKS_QUEUE],
            threads=settings.webhook_threads,
            on_stop=lambda: None,  # an attempt ends by itself within its limit
            close=database.close,
        )


if __name__ == "__main__":
    main()
