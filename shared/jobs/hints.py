"""Messages about jobs. They only hint: one that is lost is sent again from Postgres."""

from collections.abc import Iterable
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from shared.messaging.actors import ActorAddress
from shared.messaging.broker import Messenger

log = structlog.get_logger()

Hint = tuple[ActorAddress, tuple[UUID | int, ...]]  # may be sent once its transaction is committed


async def send_hints(messenger: Messenger, hints: Iterable[Hint]) -> None:
    """Send the messages, or leave them to the scheduler where the broker cannot be reached."""
    try:
        for address, arguments in hints:
            await messenger.send(address, *arguments)
    except RedisError as error:
        log.warning("hint_not_sent", error=str(error))
