"""The online path, first half: find the version, check the rows, send them, wait for the reply."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.predict_queue import PredictQueue
from api.routing import Route, Routes
from shared.access.caller import Caller
from shared.background import end_tasks
from shared.database.engine import Database
from shared.errors import InvalidInput
from shared.predictions.errors import (
    ModelBusy,
    ModelLoading,
    PredictionTimeout,
    TooManyRows,
    failure_to_error,
)
from shared.predictions.placement import Heartbeats, ask_to_load
from shared.predictions.rows import ReadRows
from shared.predictions.wire import Reply
from shared.settings import Settings

log = structlog.get_logger()


class Prediction(msgspec.Struct, frozen=True):
    """A reply, with what it takes to tell the caller about it."""

    route: Route
    reply: Reply
    warnings: tuple[str, ...]
    total_us: int


class Predictor:
    """Answers predictions out of warm workers."""

    def __init__(self, settings: Settings, database: Database, redis: Redis) -> None:
        self.routes = Routes(database, ttl_s=settings.route_ttl_s)
        self.max_bytes = settings.predict_max_bytes  # of a request's body
        self._settings, self._redis = settings, redis
        self._queue = PredictQueue(settings.redis_url)
        self._heartbeats = Heartbeats(redis, heartbeat_s=settings.worker_heartbeat_s)
        self._held: frozenset[UUID] = frozenset()  # versions that some living worker holds
        self._pending_rows: dict[UUID, int] = defaultdict(int)
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to read replies and to watch the workers."""
        await self._queue.start()
        self._watching = asyncio.create_task(self._watch_placement())

    async def close(self) -> None:
        """Stop both."""
        if self._watching is not None:
            await end_tasks(self._watching)
        await self._queue.close()

    async def predict(
        self,
        caller: Caller,
        model: str,
        rows: list[Any],
        *,
        version: int | None = None,
        outputs: tuple[str, ...] = ("label",),
        deadline_s: float | None = None,
    ) -> Prediction:
        """Predict `rows` with the version that serves `model`.

        Args:
            rows: as the request's JSON gave them.
            deadline_s: from now; by default that of the settings, and never more than their maximum.

        Raises:
            NotFound, VersionNotServable, InputMismatch, ModelBusy, ModelLoading, PredictionTimeout, …
        """
        started = time.monotonic()
        route = await self.routes.find(caller, model, version)
        _check_outputs(route, outputs)
        read = route.reader.read(rows)
        deadline = started + self._deadline_s(deadline_s)
        reply = await self._ask(route.version.version_id, read, outputs, deadline)
        if reply.failure is not None:
            raise failure_to_error(reply.failure)
        return Prediction(route, reply, read.warnings, int((time.monotonic() - started) * 1e6))

    def _deadline_s(self, asked: float | None) -> float:
        default, most = self._settings.predict_deadline_s, self._settings.predict_max_deadline_s
        return default if asked is None else min(asked, most)

    async def _ask(
        self, version_id: UUID, read: ReadRows, outputs: tuple[str, ...], deadline: float
    ) -> Reply:
        """Send the rows within the bounds of the backlog."""
        with self._room_for(version_id, read.rows):
            if version_id not in self._held:
                await self._ask_to_load([version_id])
            try:
                return await self._queue.call(
                    version_id, rows=read.rows, outputs=outputs, body=read.body, deadline=deadline
                )
            except PredictionTimeout:
                with contextlib.suppress(RedisError, OSError):
                    await self._look_at_workers()  # it may be held since the last look
                if version_id in self._held:
                    raise
                raise ModelLoading("the model is being loaded; try again") from None

    @contextlib.contextmanager
    def _room_for(self, version_id: UUID, rows: int) -> Iterator[None]:
        most = self._settings.max_pending_rows
        if rows > most:
            raise TooManyRows(f"{rows} rows in one request; at most {most}. Send a job for more")
        if self._pending_rows[version_id] + rows > most:
            raise ModelBusy(f"{self._pending_rows[version_id]} rows already wait for this model")
        self._pending_rows[version_id] += rows
        try:
            yield
        finally:
            self._pending_rows[version_id] -= rows
            if not self._pending_rows[version_id]:
                del self._pending_rows[version_id]

    async def _watch_placement(self) -> None:
        """Know which versions are held, and ask again for those that are waited for and are not."""
        while True:
            try:
                await self._look_at_workers()
                await self._ask_to_load([v for v in self._pending_rows if v not in self._held])
            except (RedisError, OSError) as error:
                log.warning("workers unknown for now", error=str(error))
            await asyncio.sleep(self._settings.worker_heartbeat_s)

    async def _look_at_workers(self) -> None:
        states = await self._heartbeats.living()
        self._held = frozenset(version for state in states for version in state.versions)

    async def _ask_to_load(self, version_ids: list[UUID]) -> None:
        if not version_ids:
            return
        with contextlib.suppress(RedisError, OSError):  # asked again at the next look at the workers
            await ask_to_load(self._redis, version_ids, now_ms=int(time.time() * 1000))


def _check_outputs(route: Route, outputs: tuple[str, ...]) -> None:
    offered = [output.name for output in route.version.signature.outputs]
    unknown = [output for output in outputs if output not in offered]
    if unknown or not outputs:
        raise InvalidInput(f"the model has no output {', '.join(unknown)!r}; it has {', '.join(offered)}")
