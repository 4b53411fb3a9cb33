"""The online path, first half: find the version, check the rows, send them, wait for the reply."""

import asyncio
import contextlib
import time
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.backlog import Backlog
from api.dispatch import Dispatch
from api.flight import Flight, OnLanded, Question
from api.predict_queue import PredictQueue
from api.prediction_cache import PredictionCache
from api.routing import Route, Routes
from shared.background import end_tasks
from shared.database.engine import Database
from shared.errors import CallerError, InvalidInput, PlatformError
from shared.predictions.body import PredictBody, asked_version
from shared.predictions.errors import ModelLoading, PredictionTimeout
from shared.predictions.placement import Heartbeats, ask_to_load
from shared.settings import Settings

log = structlog.get_logger()

READ_HERE_BYTES = 256 * 1024  # of a body; a larger one is read by a thread


class Predictor:
    """Answers predictions out of warm workers."""

    def __init__(self, settings: Settings, database: Database, redis: Redis) -> None:
        self.routes = Routes(settings, database)
        self.max_bytes = settings.predict_max_bytes  # of a request's body
        self._settings, self._redis = settings, redis
        self._queue = PredictQueue(settings.redis_url)
        self._cache = PredictionCache(settings.cache_redis_url)
        self._backlog = Backlog(settings)
        self._dispatch = Dispatch(self._queue, self._cache, self._backlog)
        self._heartbeats = Heartbeats(redis, heartbeat_s=settings.worker_heartbeat_s)
        self._held: frozenset[UUID] = frozenset()  # versions that some living worker holds
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to read replies and to watch the workers."""
        await self._queue.start()
        await self._cache.start()
        self._watching = asyncio.create_task(self._watch_placement())

    async def close(self) -> None:
        """Stop both."""
        if self._watching is not None:
            await end_tasks(self._watching)
        await self.routes.close()
        await self._queue.close()
        await self._cache.close()

    def deadline(self, asked_s: float | None) -> float:
        """When a request that begins now is given up, in monotonic seconds."""
        default, most = self._settings.predict_deadline_s, self._settings.predict_max_deadline_s
        return time.monotonic() + (default if asked_s is None else min(asked_s, most))

    async def predict(self, question: Question) -> Flight:
        """Predict the rows with the version that serves the model; returns when that is done.

        Raises:
            NotFound, VersionNotServable, InputMismatch, RateLimited, ModelBusy, ModelLoading,
            PredictionTimeout, …
        """
        landed = asyncio.Event()
        flight = Flight(question, on_end=lambda _: landed.set())
        flight.route = await self.routes.find(question.caller, question.model, None)
        self._check_backlog(flight)
        flight.route, flight.body = await self._read(question, flight.route)
        _check_outputs(flight.route, flight.body.outputs)
        self._dispatch.launch(flight)
        try:
            if flight.version_id not in self._held:
                await self._ask_to_load([flight.version_id])
            await landed.wait()
        except asyncio.CancelledError:
            self.abandon(flight)
            raise
        if isinstance(flight.error, PredictionTimeout):
            flight.error = await self._why_late(flight)
        if flight.error is not None:
            raise flight.error
        return flight

    def begin(self, question: Question, *, on_end: OnLanded) -> Flight | None:
        """Like `predict`, for what can be done at once and without waiting for anything but the reply.

        Returns:
            None where it cannot: the route is not known, no worker holds the version, the body is large or
            wants care. Then `predict` must be used. `on_end` has not been called, and will not be.

        Raises:
            As `predict`; such a question has not begun.
        """
        route = self.routes.known(question.caller, question.model)
        if route is None or route.version.version_id not in self._held:
            return None
        if len(question.body) > READ_HERE_BYTES or question.inference_header is not None:
            return None
        flight = Flight(question, on_end=on_end)
        flight.route = route
        self._check_backlog(flight)
        flight.body = _read_by(route, question)
        if flight.body.version not in (None, route.version.number):
            return None
        _check_outputs(route, flight.body.outputs)
        self._dispatch.launch(flight)
        return flight

    def abandon(self, flight: Flight) -> None:
        """Nobody waits for the flight any more."""
        self._dispatch.abandon(flight)

    def _check_backlog(self, flight: Flight) -> None:
        left_s = flight.question.deadline - flight.started
        self._backlog.check(flight.tenant_id, flight.version_id, left_s=left_s)

    async def _why_late(self, flight: Flight) -> PlatformError:
        """A deadline that passed while no worker held the version was too short for loading it."""
        with contextlib.suppress(RedisError, OSError):
            await self._look_at_workers()  # it may be held since the last look
        if flight.version_id in self._held and flight.error is not None:
            return flight.error
        return ModelLoading("the model is being loaded; try again")

    async def _read(self, question: Question, route: Route) -> tuple[Route, PredictBody]:
        """The body, read by the signature of the version that it asks for."""
        try:
            body = await _read_aside(route, question)
        except CallerError:
            number = asked_version(question.body)
            if number in (None, route.version.number):
                raise
        else:
            number = body.version
            if number in (None, route.version.number):
                return route, body
        route = await self.routes.find(question.caller, question.model, number)
        return route, await _read_aside(route, question)

    async def _watch_placement(self) -> None:
        """Know which versions are held, and ask again for those that are waited for and are not."""
        while True:
            try:
                await self._look_at_workers()
                await self._ask_to_load([v for v in self._backlog.versions if v not in self._held])
            except (RedisError, OSError) as error:
                log.warning("workers unknown for now", error=str(error))
            self._backlog.forget_idle()
            await asyncio.sleep(self._settings.worker_heartbeat_s)

    async def _look_at_workers(self) -> None:
        states = await self._heartbeats.living()
        self._held = frozenset(version for state in states for version in state.versions)

    async def _ask_to_load(self, version_ids: list[UUID]) -> None:
        if not version_ids:
            return
        with contextlib.suppress(RedisError, OSError):  # asked again at the next look at the workers
            await ask_to_load(self._redis, version_ids, now_ms=int(time.time() * 1000))


def _read_by(route: Route, question: Question) -> PredictBody:
    return route.reader.read(question.content_type, question.inference_header, question.body, question.query)


async def _read_aside(route: Route, question: Question) -> PredictBody:
    """The body; a large one is read by a thread, so that nobody waits for it."""
    if len(question.body) <= READ_HERE_BYTES:
        return _read_by(route, question)
    return await asyncio.to_thread(_read_by, route, question)


def _check_outputs(route: Route, outputs: tuple[str, ...]) -> None:
    if outputs and route.offered.issuperset(outputs):
        return
    unknown = [output for output in outputs if output not in route.offered]
    offered = ", ".join(output.name for output in route.version.signature.outputs)
    raise InvalidInput(f"the model has no output {', '.join(unknown)!r}; it has {offered}")
