"""The model host of one version, loaded anew when it dies."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from shared.catalog.model_settings import ModelSettings
from shared.catalog.verdict import (
    NATIVE,
    Contents,
    Engine,
    Layout,
    Reason,
    Verdict,
    engine_to_load,
)
from shared.settings import Settings
from shared.storage.store import Storage
from workers.environments.environments import Chosen
from workers.environments.errors import EnvironmentUnavailable
from workers.hosting.async_host import AsyncHost
from workers.hosting.call import PredictCall, Prediction
from workers.hosting.errors import HostDied, HostTimedOut
from workers.hosting.templates import Templates
from workers.predict.admission import refusal_of, told_of
from workers.predict.artifact import Artifact
from workers.predict.crashes import Crashes
from workers.predict.metrics import count_host_loss

log = structlog.get_logger()

ChooseEnvironment = Callable[[Contents], Awaitable[Chosen]]

ACCELERATE_TIMEOUT_S = 20.0  # the host itself stops after some four; this is for one that hangs
LOOK_PAUSE_S = 0.05  # between looks whether a host that is to go has answered


class VersionHost:
    """Loads a version into a host, and again whenever that host died."""

    def __init__(
        self, artifact: Artifact, *, templates: Templates, storage: Storage, settings: Settings
    ) -> None:
        self.artifact = artifact
        self._templates, self._storage, self._settings = templates, storage, settings
        self._host: AsyncHost | None = None
        self._loading = asyncio.Lock()
        self._crashes = Crashes()
        self.let_go = False  # nobody needs it any more; it loads nothing again

    @property
    def degraded(self) -> bool:
        """It crashed again and again within a short time."""
        return self._crashes.too_many

    @property
    def loaded(self) -> bool:
        """Whether its process has the model."""
        return self._host is not None

    def memory_bytes(self) -> int:
        """What the process has for itself. Asks the kernel, which takes a moment: not for the event loop."""
        return self._host.memory_bytes() if self._host is not None else 0

    def watch(self) -> None:
        """End the process if it does what nobody asked for; the next call gets another, as after a crash."""
        host = self._host
        fault = host.watch() if host is not None else None
        if host is not None and fault is not None:
            self._note_crash(host, HostDied(f"was stopped: {fault}"))

    async def apply(self, settings: ModelSettings) -> None:
        """Follow other settings. What needs a fresh process gets it while the present one goes on answering.

        Raises:
            HostDied, HostTimedOut: there is no fresh process; the present one stays. Try again.
        """
        before = self.artifact.settings.accelerate
        self._set(msgspec.structs.replace(settings, accelerate=before))
        if settings.accelerate != before:
            await self._renew(settings)

    async def validate(self, choose: ChooseEnvironment | None = None) -> Verdict:
        """Open the artifact for the first time, and stay loaded if it is a model.

        Args:
            choose: says which environment has what the artifact needs, instead of `Environments`.

        Raises:
            HostDied, HostTimedOut: the artifact brought its host down.
        """
        host = await self._spawn()
        try:
            contents = await self._contents(host)
            if isinstance(contents, Reason):
                host.kill()
                return Verdict(status="rejected", reason=contents)
            placed = await self._placed(contents, choose or self._templates.environments.environment_for)
            if isinstance(placed, Reason):
                host.kill()
                return told_of(Verdict(status="rejected", reason=placed), contents)
            host = await self._moved(host, placed)
            verdict = told_of(_with_environment(await self._load(host, probe=True), placed), contents)
        except BaseException:
            host.kill()
            raise
        if verdict.signature is None:
            host.kill()
            return verdict
        self._host = host
        self.artifact = msgspec.structs.replace(
            self.artifact,
            signature=verdict.signature,
            memory_bytes=verdict.memory_bytes or 0,
            usual_call_s=verdict.usual_call_s,
        )
        return await self._accelerated(verdict, host)

    async def _placed(self, contents: Contents, choose: ChooseEnvironment) -> Chosen | Reason:
        """The environment to open the artifact in, or why it is not to be opened at all."""
        refusal = refusal_of(contents, self._settings.pickles)
        if refusal is not None:
            return refusal
        try:
            return await choose(contents)
        except EnvironmentUnavailable as error:
            return error.reason

    async def _contents(self, host: AsyncHost) -> Contents | Reason:
        artifact = await self._storage.descriptor(self.artifact.artifact_key)
        try:
            return await host.inspect(
                artifact,
                unpacked_bytes=self._settings.unpacked_max_bytes,
                timeout_s=self._settings.load_timeout_s,
            )
        finally:
            os.close(artifact)

    async def _moved(self, host: AsyncHost, chosen: Chosen) -> AsyncHost:
        """The host to open the artifact in: the one that read it, unless that is in another environment."""
        self.artifact = msgspec.structs.replace(self.artifact, environment=chosen.environment)
        if chosen.environment.id is None:
            return host
        host.kill()
        return await self._spawn()

    async def _accelerated(self, verdict: Verdict, host: AsyncHost) -> Verdict:
        """The verdict with the engine that answers from now on.

        An attempt that ends or stalls the host is none of the model's doing: it is loaded again, native.
        """
        if not self.artifact.settings.accelerate or self.artifact.layout is not Layout.MATRIX:
            return verdict
        try:
            engine = await host.accelerate(timeout_s=ACCELERATE_TIMEOUT_S)
        except (HostDied, HostTimedOut) as death:
            host.kill()
            self._host = None
            log.warning("engine not compiled", version_id=str(self.artifact.version_id), error=str(death))
            engine = Engine(name=NATIVE, why=f"It stays native: while it was compiled, {death}.")
            await self.start()
            return msgspec.structs.replace(verdict, engine=engine)
        verdict = msgspec.structs.replace(
            verdict, engine=engine, memory_bytes=await asyncio.to_thread(host.model_bytes)
        )
        self.artifact = msgspec.structs.replace(
            self.artifact, engine=engine, memory_bytes=verdict.memory_bytes or 0
        )
        return verdict

    async def start(self) -> None:
        """Be loaded when this returns."""
        async with self._loading:
            if self.let_go:
                raise HostDied("was let go")
            if self._host is None:
                await self._start()

    def submit(self, call: PredictCall, *, timeout_s: float) -> asyncio.Future[Prediction]:
        """Have the model answer; at most SLOTS calls may be under way, and only while it is `loaded`.

        The future raises ModelFailed where the model raised an error; HostDied or HostTimedOut where the
        process is gone: `start` loads another.
        """
        host = self._host
        assert host is not None  # noqa: S101  it is loaded
        answer = host.submit(call, timeout_s=timeout_s)
        answer.add_done_callback(lambda done: self._note_end(host, done))
        return answer

    def kill(self) -> None:
        """Let go of the process, for good."""
        self.let_go = True
        if self._host is not None:
            self._host.kill()
            self._host = None

    async def _start(self) -> None:
        await asyncio.sleep(self._crashes.pause_s())
        self._keep(await self._loaded())

    async def _renew(self, settings: ModelSettings) -> None:
        async with self._loading:
            before, old = self.artifact.settings, self._host
            self._set(settings)
            try:
                if old is not None:
                    self._keep(await self._loaded())
            except BaseException:
                self._set(before)  # so that whoever looks sees what is still to be done
                raise
        if old is not None:
            while old.outstanding:  # noqa: ASYNC110  it is rare, and no call of its needs to tell
                await asyncio.sleep(LOOK_PAUSE_S)
            old.kill()

    def _set(self, settings: ModelSettings) -> None:
        self.artifact = msgspec.structs.replace(self.artifact, settings=settings)

    def _keep(self, host: AsyncHost) -> None:
        if self.let_go:  # while it was being loaded
            host.kill()
            raise HostDied("was let go before it was loaded")
        self._host = host

    async def _loaded(self) -> AsyncHost:
        host = await self._spawn()
        try:
            await self._load(host, probe=False)
        except BaseException as error:
            host.kill()
            self._crashes.note()
            count_host_loss()
            log.warning("model not loaded", version_id=str(self.artifact.version_id), error=str(error))
            raise
        return host

    async def _spawn(self) -> AsyncHost:
        return AsyncHost(await self._templates.spawn(self.artifact.environment))

    async def _load(self, host: AsyncHost, *, probe: bool) -> Verdict:
        artifact = await self._storage.descriptor(self.artifact.artifact_key)
        try:
            sample = await self._sample() if probe else None
            try:
                return await host.load(
                    artifact,
                    sample=sample,
                    probe=probe,
                    signature=self.artifact.signature,
                    engine=engine_to_load(self.artifact.engine, accelerate=self.artifact.settings.accelerate),
                    unpacked_bytes=self._settings.unpacked_max_bytes if probe else None,
                    timeout_s=self._settings.load_timeout_s,
                )
            finally:
                if sample is not None:
                    os.close(sample)
        finally:
            os.close(artifact)

    async def _sample(self) -> int | None:
        key = self.artifact.sample_key
        return None if key is None else await self._storage.descriptor(key)

    def _note_end(self, host: AsyncHost, answer: "asyncio.Future[Prediction]") -> None:
        error = answer.exception()
        if isinstance(error, HostDied | HostTimedOut):
            self._note_crash(host, error)

    def _note_crash(self, host: AsyncHost, error: Exception) -> None:
        if self._host is host:  # two calls may learn of the same death
            self._host = None
            host.kill()
            self._crashes.note()
            count_host_loss()
            log.warning("model host lost", version_id=str(self.artifact.version_id), error=str(error))


def _with_environment(verdict: Verdict, chosen: Chosen) -> Verdict:
    return msgspec.structs.replace(
        verdict, environment=chosen.environment, warnings=[*chosen.warnings, *verdict.warnings]
    )
