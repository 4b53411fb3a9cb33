"""Hears what happens in the catalog: wakes those who wait for a version, and tells listeners of models."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog
from redis.asyncio import Redis

from shared.catalog.messages import CATALOG_CHANNEL
from shared.ids import parse_id
from shared.messaging.subscriber import Subscriber

log = structlog.get_logger()

ModelListener = Callable[[UUID | None], None]


class CatalogNews:
    """One subscription for the process. Messages can be lost: it shortens waits, and decides nothing."""

    def __init__(self, redis: Redis) -> None:
        self._subscriber = Subscriber(redis, CATALOG_CHANNEL, hear=self._tell, catch_up=self._tell_all)
        self._listeners: list[ModelListener] = []
        self._watched: dict[UUID, set[asyncio.Event]] = {}

    def start(self) -> None:
        """Begin to listen."""
        self._subscriber.start()

    async def close(self) -> None:
        """Stop listening."""
        await self._subscriber.close()

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
