"""The verdict on an upload: claim it, open it in a model host, write what the host says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from uuid import UUID

import msgspec
import structlog
from redis.asyncio import Redis
from sqlalchemy.exc import SQLAlchemyError

from shared.catalog.loading import settings_of_held
from shared.catalog.messages import announce_model, announce_version, ask_for_validation
from shared.catalog.model_settings import ModelSettings
from shared.catalog.service import (
    DEADLY_ARTIFACT,
    VALIDATION_ATTEMPTS,
    claim_validation,
    give_back_validation,
    record_verdict,
    renew_validation,
)
from shared.catalog.telling import told
from shared.catalog.verdict import Contents, Verdict
from shared.database.engine import Database
from shared.settings import Settings
from shared.webhooks.model_events import tell_version
from workers.environments.environments import Chosen
from workers.environments.uv import UvStopped
from workers.hosting.ending import rejection_of
from workers.hosting.errors import HostDied, HostTimedOut
from workers.hosting.templates import Templates
from workers.predict.artifact import Artifact
from workers.predict.version_host import ACCELERATE_TIMEOUT_S, VersionHost

log = structlog.get_logger()

RENEW_S = 10.0  # well below the lease
LEASE_MARGIN_S = 30.0  # beyond the time that a load may take: for the queue to the template, the download, …


class ValidationClaim(msgspec.Struct, frozen=True):
    """An upload that this worker holds the lease on."""

    artifact: Artifact
    attempt: int  # from 1


class Validation:
    """Judges uploads. Attempts are counted at the claim, so that a file that kills workers ends too."""

    def __init__(self, settings: Settings, *, database: Database, redis: Redis, templates: Templates) -> None:
        self._settings, self._database, self._redis = settings, database, redis
        self._templates = templates

    async def claim(self, version_id: UUID) -> ValidationClaim | None:
        """Take a version that waits for its verdict; None where it does not, or has had its chances."""
        async with self._database.transaction() as session:
            version = await claim_validation(session, version_id, lease_s=self._lease_s)
            settings = await settings_of_held(session, [version_id])
        if version is None:
            return None
        artifact = Artifact(
            version_id=version.id,
            model_id=version.model_id,
            artifact_key=version.artifact_key,
            sample_key=version.sample_key,
            settings=settings.get(version_id, ModelSettings()),
        )
        if version.validation_attempts > VALIDATION_ATTEMPTS:
            await self.record(artifact, DEADLY_ARTIFACT)
            return None
        return ValidationClaim(artifact, version.validation_attempts)

    async def open(
        self,
        claim: ValidationClaim,
        host: VersionHost,
        *,
        aside: Callable[[], AbstractAsyncContextManager[None]],
    ) -> Verdict | None:
        """Open the artifact, and come to a verdict. A model that is ready stays loaded in `host`.

        A host may die of another's doing: only one that dies at every attempt condemns its file.

        Args:
            aside: lets others have the turn while an environment is built.

        Returns:
            None where another attempt is to be made.
        """

        async def choose(contents: Contents) -> Chosen:
            own = self._templates.environments.own_for(contents)
            if own is not None:
                return own
            async with aside(), self._renewing(claim.artifact.version_id):
                chosen = await self._templates.environments.environment_for(contents)
                await self._templates.prepare(chosen.environment)
            return chosen

        try:
            return await host.validate(choose)
        except UvStopped:
            await self._give_back(claim.artifact.version_id)
            return None
        except (HostDied, HostTimedOut) as death:
            if isinstance(death, HostDied) and claim.attempt < VALIDATION_ATTEMPTS:
                await self._give_back(claim.artifact.version_id)
                return None
            return rejection_of(death)

    async def record(self, artifact: Artifact, verdict: Verdict) -> bool:
        """Write the verdict, and tell everybody. False where the version is gone or has its verdict."""
        verdict = msgspec.structs.replace(verdict, told=told(verdict))
        async with self._database.transaction() as session:
            recorded = await record_verdict(session, artifact.version_id, verdict)
            if recorded:
                await tell_version(session, artifact.version_id)
        if recorded:
            log.info("verdict", version_id=str(artifact.version_id), status=verdict.status)
            # In this order: who waited for the version must find the routes of its model dropped.
            await announce_model(self._redis, artifact.model_id)
            await announce_version(self._redis, artifact.version_id)
        return recorded

    @property
    def _lease_s(self) -> float:
        """It is read once, and loaded twice where compiling it ends its process."""
        return 3 * self._settings.load_timeout_s + ACCELERATE_TIMEOUT_S + LEASE_MARGIN_S

    @asynccontextmanager
    async def _renewing(self, version_id: UUID) -> AsyncIterator[None]:
        """Keep the lease whole during what may take long: what comes after has all of it again."""
        renewing = asyncio.create_task(self._renew(version_id))
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing

    async def _renew(self, version_id: UUID) -> None:
        while True:
            try:
                async with self._database.transaction() as session:
                    await renew_validation(session, version_id, lease_s=self._lease_s)
            except (SQLAlchemyError, OSError) as error:  # it holds a while longer without
                log.warning("lease not renewed", version_id=str(version_id), error=type(error).__name__)
            await asyncio.sleep(RENEW_S)

    async def _give_back(self, version_id: UUID) -> None:
        async with self._database.transaction() as session:
            await give_back_validation(session, version_id)
        await ask_for_validation(self._redis, [version_id])
