"""A predict worker: keeps versions warm, and says which it holds.

It loads what is asked for, lets go of what was used longest ago when it is full, opens new uploads
for their verdict, and adopts the requests of workers that died.
"""

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
from shared.catalog.messages import VALIDATIONS_KEY
from shared.catalog.service import find_servable, signature_of
from shared.database.engine import Database
from shared.errors import PlatformError
from shared.predictions.keys import WANTED
from shared.predictions.placement import Heartbeats, WorkerState
from shared.settings import Settings
from shared.storage.store import Storage
from workers.hosting.template import HostTemplate
from workers.predict.redis_clock import RedisClock
from workers.predict.request_queue import RequestQueue
from workers.predict.served_version import ServedVersion
from workers.predict.validation import Validation
from workers.predict.version_host import Artifact, VersionHost

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
        self._validation = Validation(settings, database=database, redis=redis)
        self._served: dict[UUID, ServedVersion] = {}
        self._loading: set[UUID] = set()
        self._errands: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then answer what was taken and leave."""
        await asyncio.to_thread(self._template.start)
        duties = [asyncio.create_task(duty) for duty in (self._beat_for_ever(), self._follow_requests())]
        log.info("predict worker ready", worker_id=self.worker_id)
        await stop.wait()
        await end_tasks(*duties)
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
        for version in list(self._served.values()):
            await version.adopt(living)

    async def _say_what_is_held(self) -> None:
        held = [*self._served, *self._loading]
        state = WorkerState(
            worker_id=self.worker_id, capacity=self._settings.max_loaded_versions, versions=held
        )
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
        version_id = UUID(member.decode())
        errand = self._validate if key.decode() == VALIDATIONS_KEY else self._load
        task = asyncio.create_task(_logged(errand, version_id))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _validate(self, version_id: UUID) -> None:
        artifact = await self._validation.claim(version_id)
        if artifact is None:
            return
        host = self._host_for(artifact)
        if await self._validation.judge(host):
            await self._serve(version_id, host)  # it is loaded: its first request finds it warm

    async def _load(self, version_id: UUID) -> None:
        if version_id in self._served or version_id in self._loading:
            return
        async with self._database.transaction() as session:
            version = await find_servable(session, version_id)
        if version is not None:
            artifact = Artifact(
                version_id=version_id,
                model_id=version.model_id,
                artifact_key=version.artifact_key,
                signature=signature_of(version),
            )
            await self._serve(version_id, self._host_for(artifact))

    def _host_for(self, artifact: Artifact) -> VersionHost:
        return VersionHost(artifact, template=self._template, storage=self._storage, settings=self._settings)

    async def _serve(self, version_id: UUID, host: VersionHost) -> None:
        self._loading.add(version_id)
        try:
            await self._say_what_is_held()
            await self._make_room()
            queue = RequestQueue(self._redis, self._clock, version_id=version_id, worker_id=self.worker_id)
            served = ServedVersion(host, queue, max_batch_rows=self._settings.max_batch_rows)
            await served.start()
            self._served[version_id] = served
        finally:
            self._loading.discard(version_id)
        log.info("serving", version_id=str(version_id))

    async def _make_room(self) -> None:
        """Let go of what was used longest ago."""
        while len(self._served) >= self._settings.max_loaded_versions:
            oldest = min(self._served, key=lambda version_id: self._served[version_id].last_used)
            log.info("let go", version_id=str(oldest))
            await self._served.pop(oldest).stop()

    async def _leave(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._heartbeats.leave(self.worker_id)
        await asyncio.gather(*(version.stop() for version in self._served.values()), return_exceptions=True)
        await asyncio.to_thread(self._template.close)


async def _unless_unreachable(step: Callable[[], Awaitable[None]]) -> None:
    """Take the step; where Redis does not answer, say so and leave it for the next time."""
    try:
        await step()
    except (RedisError, OSError) as error:
        log.warning("redis unreachable", error=str(error))
        await asyncio.sleep(RETRY_PAUSE_S)


async def _logged(errand: Callable[[UUID], Awaitable[None]], version_id: UUID) -> None:
    """Run an errand whose failure must not stop the worker; whoever asked will ask again."""
    try:
        await errand(version_id)
    except PlatformError as error:
        log.warning("errand failed", errand=errand.__name__, version_id=str(version_id), error=str(error))
    except Exception:
        log.exception("errand failed", errand=errand.__name__, version_id=str(version_id))
