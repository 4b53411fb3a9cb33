"""A predict worker: does what APIs and the catalog ask of it, and says which versions it holds."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.background import end_tasks
from shared.catalog.loading import pinned_versions, settings_of_held
from shared.catalog.messages import announce_model
from shared.catalog.news import CatalogNews
from shared.catalog.service import mark_degraded
from shared.database.engine import Database
from shared.errors import PlatformError
from shared.garbage import collect_garbage
from shared.predictions.placement import Heartbeats, WorkerState
from shared.settings import Settings
from shared.storage.store import Storage
from shared.webhooks.model_events import tell_version
from workers.hosting.telling import tell_confinement
from workers.hosting.templates import Templates
from workers.predict.artifact import Artifact
from workers.predict.loading import Loading
from workers.predict.machine import model_budget_bytes
from workers.predict.metrics import tell_loaded_versions
from workers.predict.placement import Placement
from workers.predict.redis_clock import RedisClock
from workers.predict.shelf import Shelf
from workers.predict.validation import Validation
from workers.predict.version_host import VersionHost
from workers.predict.withdrawn import WithdrawnRequests

log = structlog.get_logger()

RETRY_PAUSE_S = 0.2


class Supervisor:
    """One predict worker process."""

    def __init__(
        self,
        settings: Settings,
        *,
        database: Database,
        redis: Redis,
        storage: Storage,
        templates: Templates,
    ) -> None:
        self._machine = socket.gethostname()
        self.worker_id = f"{self._machine}-{os.getpid()}-{uuid4().hex[:8]}"
        self._settings, self._database, self._redis = settings, database, redis
        self._storage, self._templates = storage, templates
        self._clock = RedisClock()
        self._heartbeats = Heartbeats(redis, heartbeat_s=settings.worker_heartbeat_s)
        self._news = CatalogNews(redis)
        self._news.on_model_change(lambda model_id: self._begin(self._follow_catalog, model_id))
        self._validation = Validation(settings, database=database, redis=redis, templates=templates)
        self._withdrawn = WithdrawnRequests(settings.redis_url)
        self._shelf = Shelf(
            settings,
            redis,
            self._clock,
            worker_id=self.worker_id,
            withdrawn=self._withdrawn,
            announce=self._say_what_is_held,
        )
        self._shelf.memory_budget_bytes = model_budget_bytes(settings.model_memory_bytes, workers=1)
        self._loading = Loading(
            redis,
            database,
            self._shelf,
            new_host=self._host_for,
            prepare=templates.prepare,
            at_once=settings.loading_at_once,
        )
        self._placement = Placement(
            settings,
            self._shelf,
            redis,
            begin=self._begin,
            load=self._loading.load,
            add_host=self._loading.add_host,
        )
        self._errands: set[asyncio.Task[None]] = set()
        self._tidied_for: frozenset[UUID] = frozenset()  # the versions that were held then

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then answer what was taken and leave."""
        await asyncio.to_thread(self._templates.start)
        tell_confinement(self._templates.confinement, sandbox=self._settings.sandbox)
        duties = [
            asyncio.create_task(duty)
            for duty in (
                self._repeat(self._beat, every_s=self._settings.worker_heartbeat_s),
                self._repeat(self._look_at_catalog, every_s=self._settings.route_ttl_s),
                self._repeat(self._follow_uploads),
                self._repeat(self._follow_wanted),
            )
        ]
        self._news.start()
        self._withdrawn.start()
        log.info("predict worker ready", worker_id=self.worker_id)
        await stop.wait()
        self._templates.environments.stop()
        await end_tasks(*duties)
        await self._news.close()
        await self._withdrawn.close()
        await asyncio.gather(*self._errands, return_exceptions=True)
        await self._leave()

    @staticmethod
    async def _repeat(step: Callable[[], Awaitable[None]], *, every_s: float = 0.0) -> None:
        while True:
            await _survived(step)
            await asyncio.sleep(every_s)

    async def _beat(self) -> None:
        await self._clock.read(self._redis)
        await self._say_what_is_held()
        living = await self._heartbeats.living()
        await self._shelf.adopt({state.worker_id for state in living})
        for version_id in self._shelf.newly_degraded():
            self._begin(self._mark_degraded, version_id)
        neighbours = sum(state.machine == self._machine for state in living)
        self._shelf.memory_budget_bytes = model_budget_bytes(
            self._settings.model_memory_bytes, workers=neighbours
        )
        self._shelf.memory_budget_bytes -= self._templates.memory_bytes()
        self._loading.others_have_room = any(
            len(state.versions) < state.capacity for state in living if state.worker_id != self.worker_id
        )
        await self._placement.tend(living, me=self.worker_id)
        self._begin(self._tidy, None)

    async def _tidy(self, _: UUID | None) -> None:
        await self._shelf.tidy()
        await self._templates.tend()
        held = frozenset(self._shelf.version_ids())
        if held != self._tidied_for:
            self._tidied_for = held
            collect_garbage()

    async def _say_what_is_held(self) -> None:
        state = WorkerState(
            worker_id=self.worker_id,
            capacity=self._settings.max_loaded_versions,
            versions=self._shelf.version_ids(),
            held=self._shelf.told(),
            machine=self._machine,
            memory_bytes=self._shelf.memory_bytes(),
            memory_budget_bytes=self._shelf.memory_budget_bytes,
            room_for_pins=self._placement.room_for_pins(),
        )
        tell_loaded_versions(len(state.versions))
        await self._heartbeats.beat(state)

    async def _follow_uploads(self) -> None:
        version_id = await self._loading.next_upload()
        if version_id is not None:
            self._begin(self._validate, version_id)

    async def _follow_wanted(self) -> None:
        version_id = await self._loading.next_wanted()
        if version_id is not None:
            self._begin(self._loading.load, version_id)

    def _begin(self, errand: Callable[[Any], Awaitable[None]], subject: UUID | None) -> None:
        task = asyncio.create_task(_logged(errand, subject))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _validate(self, version_id: UUID) -> None:
        async with self._loading.upload_turns:
            claim = await self._validation.claim(version_id)
            if claim is None:
                return
            host = self._host_for(claim.artifact)
            verdict = await self._validation.open(claim, host, aside=self._loading.aside)
        if verdict is None:
            return
        if host.loaded:
            await self._serve_first(host)
        if not await self._validation.record(host.artifact, verdict):
            await self._shelf.drop(version_id)

    async def _serve_first(self, host: VersionHost) -> None:
        """Answer for a version before anybody hears that it is ready: its first request finds it warm."""
        try:
            await self._shelf.put(host)
        except (PlatformError, RedisError, OSError) as error:  # it is ready, and can be loaded when asked for
            host.kill()
            log.warning("not served yet", version_id=str(host.artifact.version_id), error=str(error))

    async def _look_at_catalog(self) -> None:
        self._begin(self._follow_catalog, None)  # news can be lost

    async def _follow_catalog(self, model_id: UUID | None) -> None:
        """Serve as the catalog now says: let go of what was deleted, follow settings, know what is pinned."""
        held = self._shelf.of_model(model_id)
        async with self._database.transaction() as session:
            self._placement.pins = await pinned_versions(session)
            settings = await settings_of_held(session, held)
        await self._shelf.follow(settings, asked=held)

    async def _mark_degraded(self, version_id: UUID) -> None:
        async with self._database.transaction() as session:
            model_id = await mark_degraded(session, version_id)
            if model_id is not None:
                await tell_version(session, version_id)
        if model_id is not None:
            log.warning("version degraded", version_id=str(version_id))
            await announce_model(self._redis, model_id)

    def _host_for(self, artifact: Artifact) -> VersionHost:
        return VersionHost(
            artifact, templates=self._templates, storage=self._storage, settings=self._settings
        )

    async def _leave(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._heartbeats.leave(self.worker_id)
        await self._shelf.clear()
        await asyncio.to_thread(self._templates.close)


async def _survived(step: Callable[[], Awaitable[None]]) -> None:
    """Take the step; one that fails is left for the next time: a worker must not lose a duty unseen."""
    try:
        await step()
        return
    except (RedisError, OSError) as error:
        log.warning("redis unreachable", error=str(error))
    except Exception:
        log.exception("duty failed", duty=step.__name__)
    await asyncio.sleep(RETRY_PAUSE_S)


async def _logged(errand: Callable[[Any], Awaitable[None]], subject: UUID | None) -> None:
    """Run an errand whose failure must not stop the worker; whoever asked will ask again."""
    try:
        await errand(subject)
    except PlatformError as error:
        log.warning("errand failed", errand=errand.__name__, subject=str(subject), error=str(error))
    except Exception:
        log.exception("errand failed", errand=errand.__name__, subject=str(subject))
