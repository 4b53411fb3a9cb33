"""The environments that model hosts run in: chosen by what an artifact needs, and had by their id."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
import structlog

from shared.catalog.verdict import Contents, EnvironmentRef
from shared.settings import Settings
from shared.storage.errors import ObjectMissing
from shared.storage.store import Storage
from workers.environments.build import Builder
from workers.environments.errors import EnvironmentUnavailable
from workers.environments.folder import EnvironmentFolder, HeldEnvironment
from workers.environments.known import lighter
from workers.environments.lock import MAX_BYTES, EnvironmentLock, resolve
from workers.environments.needs import Needs, read_needs, request_for
from workers.environments.own import MAIN, PYTHON_VERSION, own_environment
from workers.environments.request import PYTHON, EnvironmentRequest
from workers.environments.uv import Uv, UvFailed
from workers.environments.wheels import offered_wheels

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

BUILDS_AT_ONCE = 2

_UNREACHABLE = "error sending request"  # as uv says it
_UNREACHED = (
    "The package index was not reached, which is not your file's fault: upload it again later. If that does "
    "not help, tell whoever runs the platform."
)
_VERSIONS = (
    f"Use versions that go together and are released as wheels for Python {PYTHON}, or try again later."
)


class Chosen(msgspec.Struct, frozen=True):
    """Where a version is to be served.

    Attributes:
        warnings: for its owner, where it is not what the file asks for.
    """

    environment: EnvironmentRef
    warnings: list[str] = []


class Environments:
    """Resolves, builds and keeps environments. One a worker process; threads and event loops may share it."""

    def __init__(self, settings: Settings, storage: Storage, environment: Mapping[str, str]) -> None:
        """Args: environment: of this process, for where uv finds packages."""
        self._folder = EnvironmentFolder(_folder_of(settings, environment))
        self._wheels = Path(settings.environment_wheels) if settings.environment_wheels else None
        self._uv = Uv(
            environment, home=self._folder.home, wheels=self._wheels, offline=settings.environment_offline
        )
        self._timeout_s = settings.environment_build_timeout_s
        self._builder = Builder(
            self._folder, self._uv, timeout_s=self._timeout_s, max_bytes=settings.environments_max_bytes
        )
        self._storage = storage
        self._threads = ThreadPoolExecutor(BUILDS_AT_ONCE, thread_name_prefix="environments")

    def own_for(self, contents: Contents) -> Chosen | None:
        """The platform's own environment, where an artifact fits into that.

        Raises:
            EnvironmentUnavailable: what it needs cannot be had anywhere.
        """
        needs, own = read_needs(contents), own_environment()
        return Chosen(EnvironmentRef(packages=own.packages(needs.names))) if needs.fit(own) else None

    async def environment_for(self, contents: Contents) -> Chosen:
        """Where an artifact is to be served: built and ready, unless that is the platform's own.

        Raises:
            EnvironmentUnavailable: nowhere; its reason is for the verdict.
        """
        fitting = self.own_for(contents)
        if fitting is not None:
            return fitting
        needs = read_needs(contents)
        try:
            return Chosen(await self._environment_with(needs))
        except UvFailed as failure:
            return await self._nearest(needs, failure)

    async def get(self, environment_id: str, *, anew: bool = False) -> HeldEnvironment:
        """The environment of that id, built if it is not there, and kept until it is released.

        Args:
            anew: build it again, since it is broken.

        Raises:
            EnvironmentUnavailable: it cannot be built here.
        """
        held = None if anew else await asyncio.to_thread(self._folder.hold, environment_id)
        if held is not None:
            return held
        lock = await self._lock(environment_id)
        try:
            return await self._in_thread(self._builder.ensure, environment_id, lock, anew=anew)
        except UvFailed as failure:
            raise EnvironmentUnavailable(
                f"The environment of the model cannot be built: {failure}.", "Try again later."
            ) from failure

    def stop(self) -> None:
        """End builds, and begin no more: who waits for one gets UvStopped."""
        self._uv.stop()

    def close(self) -> None:
        """Let go of the threads, once builds have ended."""
        self.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _environment_with(self, needs: Needs) -> EnvironmentRef:
        request = request_for(needs, own_environment(), offered_wheels(self._wheels))
        environment_id, lock = await self._built(request)
        return EnvironmentRef(id=environment_id, packages=_packages(lock, needs))

    async def _nearest(self, needs: Needs, failure: UvFailed) -> Chosen:
        """What comes nearest where the exact versions cannot be had, with a warning."""
        if needs.only_base():
            packages = own_environment().packages(needs.names)
            return Chosen(EnvironmentRef(packages=packages), [_instead(needs, failure)])
        looser = needs.looser()
        if looser is None:
            raise _unavailable(needs, failure) from failure
        try:
            return Chosen(await self._environment_with(looser), [_instead(needs, failure)])
        except UvFailed:
            raise _unavailable(needs, failure) from failure

    async def _built(self, request: EnvironmentRequest) -> tuple[str, EnvironmentLock]:
        """As it was resolved before, here or by another worker; anew where that can no longer be built."""
        known = await self._resolved_before(request)
        if known is not None:
            try:
                return await self._build(known)
            except UvFailed as failure:
                log.warning("environment resolved anew", request=request.digest, error=str(failure))
        lock = await self._in_thread(
            resolve, self._uv, request, offered=offered_wheels(self._wheels), timeout_s=self._timeout_s
        )
        built = await self._build(lock)
        await self._write(f"environments/{lock.id}", msgspec.json.encode(lock))
        await self._write(f"environments/requests/{request.digest}", lock.id.encode())
        return built

    async def _build(self, lock: EnvironmentLock) -> tuple[str, EnvironmentLock]:
        held = await self._in_thread(self._builder.ensure, lock.id, lock)
        held.release()
        return lock.id, lock

    async def _resolved_before(self, request: EnvironmentRequest) -> EnvironmentLock | None:
        try:
            environment_id = await self._read(f"environments/requests/{request.digest}")
            return await self._lock(environment_id.decode())
        except (ObjectMissing, EnvironmentUnavailable):
            return None

    async def _lock(self, environment_id: str) -> EnvironmentLock:
        try:
            lock = msgspec.json.decode(
                await self._read(f"environments/{environment_id}"), type=EnvironmentLock
            )
        except ObjectMissing as error:
            raise EnvironmentUnavailable(
                "What the model's environment held is no longer known.", "Upload the model again."
            ) from error
        if not lock.fits_here:
            raise EnvironmentUnavailable(
                f"The model's environment is for Python {lock.python} on {lock.platform}.",
                "Upload the model again, to have one that fits the workers there are now.",
            )
        return lock

    async def _read(self, key: str) -> bytes:
        return b"".join([piece async for piece in self._storage.read(key)])

    async def _write(self, key: str, content: bytes) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield content

        await self._storage.write(key, pieces(), max_bytes=MAX_BYTES)

    async def _in_thread(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, partial(work, *arguments, **named)
        )


def _folder_of(settings: Settings, environment: Mapping[str, str]) -> Path:
    """Where the settings say; else beside what the store keeps, or in the user's cache."""
    if settings.environments_dir:
        return Path(settings.environments_dir)
    if settings.storage_url.startswith("file://"):
        return Path(unquote(urlsplit(settings.storage_url).path)) / ".environments"
    home = environment.get("XDG_CACHE_HOME") or f"{environment.get('HOME', '/var/tmp')}/.cache"  # noqa: S108  a last resort
    return Path(home) / "modelyard" / "environments"


def _packages(lock: EnvironmentLock, needs: Needs) -> dict[str, str]:
    versions = lock.versions()
    asked = needs.names | {lighter(name, None) for name in needs.names}
    told = [*MAIN, *sorted(asked - set(MAIN))]
    return {"python": PYTHON_VERSION} | {name: str(versions[name]) for name in told if name in versions}


def _unavailable(needs: Needs, failure: UvFailed) -> EnvironmentUnavailable:
    message = f"An environment with {needs.told()} cannot be had: {failure}"
    return EnvironmentUnavailable(message, _UNREACHED if _UNREACHABLE in str(failure) else _VERSIONS)


def _instead(needs: Needs, failure: UvFailed) -> str:
    return (
        f"Made with {needs.told()}, which cannot be had here ({failure}); it runs on the versions that"
        " `environment` names, and may answer otherwise than where it was trained."
    )
