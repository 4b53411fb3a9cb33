"""What this worker opens next, and how much of it side by side.

A note of what is wanted is taken only when work on it can begin: until then it waits in Redis, the
version waited for longest first, where any other worker may take it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from shared.catalog.loading import find_loadable
from shared.catalog.messages import VALIDATIONS_KEY
from shared.catalog.service import signature_of, verdict_of
from shared.catalog.verdict import EnvironmentRef
from shared.database.engine import Database
from shared.predictions.keys import WANTED
from workers.environments.errors import EnvironmentUnavailable
from workers.predict.artifact import Artifact
from workers.predict.shelf import Shelf
from workers.predict.version_host import VersionHost

ASK_WAIT_S = 1.0
COURTESY_S = 0.2  # for which a full worker leaves a note to those with room
UPLOADS_FOR_A_LOAD = 2  # an upload may take its time, and others must not wait for it

NewHost = Callable[[Artifact], VersionHost]
Prepare = Callable[[EnvironmentRef | None], Awaitable[None]]


class Loading:
    """Opens versions in turns, so that the models that answer keep most of the machine.

    Attributes:
        upload_turns: for whoever judges an upload.
        others_have_room: other workers could hold one more version without letting one go.
    """

    def __init__(
        self,
        redis: Redis,
        database: Database,
        shelf: Shelf,
        *,
        new_host: NewHost,
        prepare: Prepare,
        at_once: int,
    ) -> None:
        """Args: prepare: has an environment ready, which may take minutes."""
        self.upload_turns = asyncio.Semaphore(UPLOADS_FOR_A_LOAD * at_once)
        self.others_have_room = False
        self._redis, self._database, self._shelf, self._new_host = redis, database, shelf, new_host
        self._turns = asyncio.Semaphore(at_once)
        self._prepare = prepare
        self._asked: set[UUID] = set()

    async def next_upload(self) -> UUID | None:
        """An upload to be judged, as soon as there is a turn for it; None after a second without any."""
        async with self.upload_turns:
            pass
        return _member(await self._redis.bzpopmin([VALIDATIONS_KEY], timeout=ASK_WAIT_S))

    async def next_wanted(self) -> UUID | None:
        """A version that somebody waits for, likewise."""
        async with self._turns:
            pass
        if self.others_have_room and self._shelf.free_places() <= 0:
            await asyncio.sleep(COURTESY_S)
            popped = await self._redis.zpopmin(WANTED)
            return _member((WANTED, *popped[0])) if popped else None
        return _member(await self._redis.bzpopmin([WANTED], timeout=ASK_WAIT_S))

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """Give back the turn of an upload for a while."""
        self.upload_turns.release()
        try:
            yield
        finally:
            await self.upload_turns.acquire()

    async def load(self, version_id: UUID) -> None:
        """Hold a version, unless it is held, is gone, or cannot serve."""
        if version_id in self._asked or version_id in self._shelf:
            return
        self._asked.add(version_id)
        try:
            artifact = await self.find(version_id)
            if artifact is None:
                return
            with suppress(EnvironmentUnavailable):  # those who wait are told when it cannot be loaded
                await self._prepare(artifact.environment)  # outside of the turns, since it may take long
            async with self._turns:
                await self._shelf.put(self._new_host(artifact))
        finally:
            self._asked.discard(version_id)

    async def add_host(self, version_id: UUID) -> None:
        """Start one more process for a version that is held."""
        async with self._turns:
            held = self._shelf.held().get(version_id)
            if held is not None:
                await self._shelf.add_host(version_id, self._new_host(held.artifact))

    async def find(self, version_id: UUID) -> Artifact | None:
        """What it takes to load the version; None where it is gone or cannot serve."""
        async with self._database.transaction() as session:
            found = await find_loadable(session, version_id)
        if found is None:
            return None
        version, verdict = found.version, verdict_of(found.version)
        return Artifact(
            version_id=version_id,
            model_id=version.model_id,
            artifact_key=version.artifact_key,
            environment=verdict.environment,
            signature=signature_of(version),
            engine=verdict.engine,
            memory_bytes=verdict.memory_bytes or 0,
            usual_call_s=verdict.usual_call_s,
            settings=found.settings,
        )


def _member(popped: Any) -> UUID | None:
    """The id in an answer of BZPOPMIN: key, member, score; nothing came in None."""
    return None if popped is None else UUID(popped[1].decode())
