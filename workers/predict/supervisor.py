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
from shared.catalog.messages import VALIDATIONS_KEY, announce_model
from shared.catalog.news import CatalogNews
from shared.catalog.service import find_servable, mark_degraded, signature_of
from shared.database.engine import Database
from shared.errors import PlatformError
from shared.predictions.keys import WANTED
from shared.predictions.placement import Heartbeats, WorkerState
from shared.settings import Settings
from shared.storage.store import Storage
from workers.hosting.template import HostTemplate
from workers.predict.metrics import tell_loaded_versions
from workers.predict.redis_clock import RedisClock
from workers.predict.shelf import Shelf
from workers.predict.validation import Validation
from workers.predict.version_host import Artifact, VersionHost
from workers.predict.withdrawn import WithdrawnRequests

log = structlog.get_logger()

ASK_WAIT_S = 1.0
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
        template: HostTemplate,
    ) -> None:
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._settings, self._database, self._redis, self._storage = settings, database, redis, storage
        self._template = template
        self._clock = RedisClock()
        self._heartbeats = Heartbeats(redis, heartbeat_s=settings.worker_heartbeat_s)
        self._news = CatalogNews(redis)
        self._news.on_model_change(lambda model_id: self._begin(self._drop_gone, model_id))
        self._validation = Validation(settings, database=database, redis=redis)
        self._withdrawn = WithdrawnRequests(settings.redis_url)
        self._shelf = Shelf(settings, redis, self._clock, worker_id=self.worker_id, withdrawn=self._withdrawn)
        self._errands: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then answer what was taken and leave."""
        await asyncio.to_thread(self._template.start)
        duties = [asyncio.create_task(duty) for duty in (self._beat_for_ever(), self._follow_requests())]
        self._news.start()
        self._withdrawn.start()
        log.info("predict worker ready", worker_id=self.worker_id)
        await stop.wait()
        await end_tasks(*duties)
        await self._news.close()
        await self._withdrawn.close()
        await asyncio.gather(*self._errands, return_exceptions=True)
        await self._leave()

    async def _beat_for_ever(self) -> None:
        while True:
            await _unless_unreachable(self._beat)
            await asyncio.sleep(self._settings.worker_heartbeat_s)

    async def _beat(self) -> None:
        await self._clock.read(self._redis)
        await self._say_what_is_held()
        living = {state.worker_id for state in await self._heartbeats.living()}
        await self._shelf.adopt(living)
        for version_id in self._shelf.newly_degraded():
            self._begin(self._mark_degraded, version_id)

    async def _say_what_is_held(self) -> None:
        state = WorkerState(
            worker_id=self.worker_id,
            capacity=self._settings.max_loaded_versions,
            versions=self._shelf.version_ids(),
        )
        tell_loaded_versions(len(state.versions))
        await self._heartbeats.beat(state)

    async def _follow_requests(self) -> None:
        """Do what the catalog and the APIs ask for, each as an errand of its own."""
        while True:
            await _unless_unreachable(self._follow_one)

    async def _follow_one(self) -> None:
        asked: Any = await self._redis.bzpopmin([VALIDATIONS_KEY, WANTED], timeout=ASK_WAIT_S)
        if asked is None:
            return
        key, member, _ = asked
        errand = self._validate if key.decode() == VALIDATIONS_KEY else self._load
        self._begin(errand, UUID(member.decode()))

    def _begin(self, errand: Callable[[Any], Awaitable[None]], subject: UUID | None) -> None:
        task = asyncio.create_task(_logged(errand, subject))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _validate(self, version_id: UUID) -> None:
        claim = await self._validation.claim(version_id)
        if claim is None:
            return
        host = self._host_for(claim.artifact)
        if await self._validation.judge(claim, host):
            await self._shelf.put(host, announce=self._say_what_is_held)  # its first request finds it warm

    async def _load(self, version_id: UUID) -> None:
        if version_id in self._shelf:
            return
        artifact = await self._find(version_id)
        if artifact is not None:
            await self._shelf.put(self._host_for(artifact), announce=self._say_what_is_held)

    async def _find(self, version_id: UUID) -> Artifact | None:
        async with self._database.transaction() as session:
            version = await find_servable(session, version_id)
        if version is None:
            return None
        return Artifact(
            version_id=version_id,
            model_id=version.model_id,
            artifact_key=version.artifact_key,
            signature=signature_of(version),
        )

    async def _drop_gone(self, model_id: UUID | None) -> None:
        """Let go of the model's versions that were deleted."""
        for version_id in self._shelf.of_model(model_id):
            if await self._find(version_id) is None:
                await self._shelf.drop(version_id)

    async def _mark_degraded(self, version_id: UUID) -> None:
        async with self._database.transaction() as session:
            model_id = await mark_degraded(session, version_id)
        if model_id is not None:
            log.warning("version degraded", version_id=str(version_id))
            await announce_model(self._redis, model_id)

    def _host_for(self, artifact: Artifact) -> VersionHost:
        return VersionHost(artifact, template=self._template, storage=self._storage, settings=self._settings)

    async def _leave(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._heartbeats.leave(self.worker_id)
        await self._shelf.clear()
        await asyncio.to_thread(self._template.close)


async def _unless_unreachable(step: Callable[[], Awaitable[None]]) -> None:
    """Take the step; where Redis does not answer, say so and leave it for the next time."""
    try:
        await step()
    except (RedisError, OSError) as error:
        log.warning("redis unreachable", error=str(error))
        await asyncio.sleep(RETRY_PAUSE_S)


async def _logged(errand: Callable[[Any], Awaitable[None]], subject: UUID | None) -> None:
    """Run an errand whose failure must not stop the worker; whoever asked will ask again."""
    try:
        await errand(subject)
    except PlatformError as error:
        log.warning("errand failed", errand=errand.__name__, subject=str(subject), error=str(error))
    except Exception:
        log.exception("errand failed", errand=errand.__name__, subject=str(subject))
