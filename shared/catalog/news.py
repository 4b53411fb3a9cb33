"""Hears what happens in the catalog: wakes those who wait for a version, and tells listeners of models."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.background import end_tasks
from shared.catalog.messages import CATALOG_CHANNEL
from shared.ids import parse_id

log = structlog.get_logger()

_RECONNECT_AFTER_S = 0.5

ModelListener = Callable[[UUID | None], None]


class CatalogNews:
    """One subscription for the process. Messages can be lost: it shortens waits, and decides nothing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._listeners: list[ModelListener] = []
        self._watched: dict[UUID, set[asyncio.Event]] = {}
        self._reader: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._reader = asyncio.create_task(self._read(), name="catalog news")

    async def close(self) -> None:
        """Stop listening."""
        if self._reader is not None:
            await end_tasks(self._reader)

    def on_model_change(self, listener: ModelListener) -> None:
        """Call `listener` with the id of each model that changed; with None when news may have been lost."""
        self._listeners.append(listener)

    def model_changed(self, model_id: UUID | None) -> None:
        """Tell the listeners of this process."""
        for listener in self._listeners:
            listener(model_id)

    @contextmanager
    def watch(self, version_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever the version may have got its verdict."""
        event = asyncio.Event()
        self._watched.setdefault(version_id, set()).add(event)
        try:
            yield event
        finally:
            self._watched[version_id].discard(event)
            if not self._watched[version_id]:
                del self._watched[version_id]

    async def _read(self) -> None:
        while True:
            try:
                await self._follow_channel()
            except (RedisError, OSError) as error:
                log.warning("catalog news interrupted", error=str(error))
                await asyncio.sleep(_RECONNECT_AFTER_S)

    async def _follow_channel(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(CATALOG_CHANNEL)
            self._tell_all()
            while True:
                message = await channel.get_message(timeout=30)
                if message is not None:
                    self._tell(message["data"].decode())

    def _tell(self, text: str) -> None:
        kind, _, spelled = text.partition(":")
        subject = parse_id(spelled)
        if subject is None:
            log.warning("unreadable catalog news", text=text)
        elif kind == "version":
            self._wake(subject)
        elif kind == "model":
            self.model_changed(subject)

    def _tell_all(self) -> None:
        """What was said while nobody listened is unknown: everybody looks for themselves."""
        for version_id in list(self._watched):
            self._wake(version_id)
        self.model_changed(None)

    def _wake(self, version_id: UUID) -> None:
        for event in self._watched.get(version_id, ()):
            event.set()
