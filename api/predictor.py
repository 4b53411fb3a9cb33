"""The online path, first half: find the version, check the rows, send them, wait for the reply."""

import asyncio
import time
from typing import Final

from redis.asyncio import Redis

from api.backlog import Backlog
from api.dispatch import Dispatch
from api.flight import Flight, OnLanded, Question
from api.held_versions import HeldVersions
from api.predict_outcome import record_flight
from api.predict_queue import PredictQueue
from api.prediction_cache import PredictionCache
from api.routing import Route, Routes
from shared.analytics.recorder import Recorder
from shared.database.engine import Database
from shared.errors import CallerError, InvalidInput, PlatformError
from shared.predictions.body import PredictBody, asked_version
from shared.predictions.errors import ModelLoading, PredictionTimeout, RequestWithdrawn
from shared.settings import Settings

READ_HERE_BYTES: Final = 256 * 1024  # of a JSON body; a larger one is read by a thread
_JSON: Final = (None, b"application/json")


class Predictor:
    """Answers predictions out of warm workers."""

    def __init__(self, settings: Settings, database: Database, redis: Redis, *, recorder: Recorder) -> None:
        self.routes = Routes(settings, database)
        self.max_bytes = settings.predict_max_bytes  # of a request's body
        self._settings, self._recorder = settings, recorder
        self._queue = PredictQueue(settings.redis_url)
        self._cache = PredictionCache(settings.cache_redis_url)
        self._backlog = Backlog(settings)
        self._dispatch = Dispatch(self._queue, self._cache, self._backlog)
        self._held = HeldVersions(
            redis, heartbeat_s=settings.worker_heartbeat_s, waited_for=self._backlog.waited_for
        )

    async def start(self) -> None:
        """Begin to read replies and to watch the workers."""
        await self._queue.start()
        await self._cache.start()
        self._held.start()

    async def close(self) -> None:
        """Stop both."""
        await self._held.close()
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
        try:
            await self._fly(flight, landed)
        except PlatformError as error:
            record_flight(self._recorder, flight, error)
            raise
        record_flight(self._recorder, flight, None)
        return flight

    def begin(self, question: Question, *, on_end: OnLanded) -> Flight | None:
        """Like `predict`, for what can be done at once and without waiting for anything but the reply.

        Returns:
            None where it cannot: the route is not known, no worker holds the version, the body is large or
            wants care. Then `predict` must be used. `on_end` has not been called, and will not be.

        Raises:
            CallerError: it is wrong, as `predict` will say again.
            TransientError: it may not wait.
        """
        route = self.routes.known(question.caller, question.model)
        if route is None or route.version.version_id not in self._held or not _is_quick(question):
            return None
        flight = Flight(question, on_end=lambda landed: self._land(landed, on_end))
        flight.route = route
        try:
            return flight if self._take_off(flight) else None
        except PlatformError as error:
            if not isinstance(error, CallerError):
                record_flight(self._recorder, flight, error)
            raise

    def abandon(self, flight: Flight) -> None:
        """Nobody waits for the flight any more."""
        if not flight.landed:
            self._dispatch.abandon(flight)
            record_flight(self._recorder, flight, RequestWithdrawn())

    async def _fly(self, flight: Flight, landed: asyncio.Event) -> None:
        self._check_backlog(flight)
        flight.route, flight.body = await self._read(flight.question, flight.route)
        self._launch(flight)
        try:
            if flight.version_id not in self._held:
                await self._held.ask_for([flight.version_id])
            await landed.wait()
        except asyncio.CancelledError:
            self.abandon(flight)
            raise
        if isinstance(flight.error, PredictionTimeout):
            await self._held.look()  # it may be held since the last look
            if flight.version_id not in self._held:
                raise ModelLoading("the model is being loaded; try again")
        if flight.error is not None:
            raise flight.error

    def _take_off(self, flight: Flight) -> bool:
        """Read and send a flight; False if it asks for another version than its route leads to."""
        self._check_backlog(flight)
        flight.body = _read_by(flight.route, flight.question)
        if flight.body.version not in (None, flight.route.version.number):
            return False
        self._launch(flight)
        return True

    def _land(self, flight: Flight, on_end: OnLanded) -> None:
        record_flight(self._recorder, flight, flight.error)
        on_end(flight)

    def _check_backlog(self, flight: Flight) -> None:
        left_s = flight.question.deadline - flight.started
        self._backlog.check(flight.tenant_id, flight.version_id, left_s=left_s)

    def _launch(self, flight: Flight) -> None:
        flight.rows = flight.body.rows.rows
        _check_outputs(flight.route, flight.body.outputs)
        self._dispatch.launch(flight)

    async def _read(self, question: Question, route: Route) -> tuple[Route, PredictBody]:
        """The body, read by the signature of the version that it asks for."""
        try:
            body = await _read_aside(route, question)
        except CallerError:
            number = asked_version(question.body)
            if not number or number == route.version.number:
                raise
        else:
            number = body.version
            if number in (None, route.version.number):
                return route, body
        route = await self.routes.find(question.caller, question.model, number)
        return route, await _read_aside(route, question)


def _is_quick(question: Question) -> bool:
    """Whether its body is read faster than a thread could be asked to."""
    is_json = question.content_type in _JSON and question.inference_header is None
    return is_json and len(question.body) <= READ_HERE_BYTES


def _read_by(route: Route, question: Question) -> PredictBody:
    return route.reader.read(question.content_type, question.inference_header, question.body, question.query)


async def _read_aside(route: Route, question: Question) -> PredictBody:
    """The body; one that takes a while is read by a thread, so that nobody waits for it."""
    if _is_quick(question):
        return _read_by(route, question)
    return await asyncio.to_thread(_read_by, route, question)


def _check_outputs(route: Route, outputs: tuple[str, ...]) -> None:
    if outputs and route.offered.issuperset(outputs):
        return
    unknown = [output for output in outputs if output not in route.offered]
    offered = ", ".join(output.name for output in route.version.signature.outputs)
    raise InvalidInput(f"the model has no output {', '.join(unknown)!r}; it has {offered}")
