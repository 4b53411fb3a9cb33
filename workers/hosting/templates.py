"""A template for each environment that model hosts run in."""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from weakref import WeakSet

import structlog

from shared.catalog.verdict import EnvironmentRef
from shared.settings import Settings
from workers.environments.environments import Environments
from workers.environments.errors import EnvironmentUnavailable
from workers.environments.folder import HeldEnvironment
from workers.hosting.confinement import Confinement
from workers.hosting.memory import memory_bytes
from workers.hosting.process import HostProcess
from workers.hosting.template import HostTemplate, TemplateFailed

log = structlog.get_logger()

RETRY_S = 30.0  # for which an environment that could not be had is not tried again
IDLE_S = 300.0  # after which a template without hosts ends

NewTemplate = Callable[[Path | None], HostTemplate]


def template_for(settings: Settings) -> NewTemplate:
    """Makes templates whose hosts are bounded as the settings say."""
    return partial(_new_template, settings)


def _new_template(settings: Settings, python: Path | None) -> HostTemplate:
    return HostTemplate(python=python, memory_bytes=settings.host_memory_bytes, sandbox=settings.sandbox)


class _EnvironmentTemplate:
    """A template that runs on a built environment, and the hosts that it forked."""

    def __init__(self, held: HeldEnvironment, template: HostTemplate) -> None:
        self._held, self._template = held, template
        self._hosts: WeakSet[HostProcess] = WeakSet()
        self._used_at = time.monotonic()
        self.memory_bytes = 0

    def start(self) -> None:
        self._template.start()
        self.memory_bytes = memory_bytes(self._template.pid or 0)

    def spawn(self) -> HostProcess:
        self.touch()
        host = self._template.spawn()
        self._hosts.add(host)
        return host

    def touch(self) -> None:
        self._used_at = time.monotonic()

    def is_idle(self, idle_s: float) -> bool:
        if any(host.link.death is None for host in list(self._hosts)):
            self.touch()
        return time.monotonic() - self._used_at > idle_s

    def close(self) -> None:
        self._template.close()
        self._held.release()


class Templates:
    """Starts hosts in the environment that each version needs. One a worker process; threads may share it.

    The platform's own template lives as long as the worker; another is started when it is first needed, and
    ends when it has had no host for a while. An environment is not removed while its template runs.
    """

    def __init__(
        self,
        environments: Environments,
        *,
        new_template: NewTemplate,
    ) -> None:
        self.environments = environments
        self._new_template = new_template
        self._own = new_template(None)
        self._started: dict[str, _EnvironmentTemplate] = {}
        self._starting: dict[str, asyncio.Lock] = {}
        self._failed: dict[str, tuple[float, EnvironmentUnavailable]] = {}
        self._lock = threading.Lock()

    @property
    def confinement(self) -> Confinement | None:
        """What the cells of hosts are worth; None until the platform's own template was started."""
        return self._own.confinement

    def start(self) -> None:
        """Start the platform's own.

        Raises:
            TemplateFailed: it ended before its imports were done.
        """
        self._own.start()

    async def spawn(self, environment: EnvironmentRef | None) -> HostProcess:
        """Fork a host; the first of an environment waits until its template has started.

        Raises:
            EnvironmentUnavailable: the environment cannot be built, or nothing starts in it.
            TemplateFailed: not even a fresh template can fork.
        """
        if environment is None or environment.id is None:
            return await asyncio.to_thread(self._own.spawn)
        while True:
            await self.prepare(environment)
            with self._lock:
                template = self._started.get(environment.id)
            if template is not None:
                return await asyncio.to_thread(template.spawn)

    async def prepare(self, environment: EnvironmentRef | None) -> None:
        """Have the template of an environment started. That may take minutes, where it must be built first.

        Raises:
            EnvironmentUnavailable: it cannot be built, or nothing starts in it.
        """
        if environment is None or environment.id is None:
            return
        async with self._starting.setdefault(environment.id, asyncio.Lock()):
            with self._lock:
                started = self._started.get(environment.id)
                if started is not None:
                    started.touch()
                    return
            self._refuse_what_just_failed(environment.id)
            try:
                template = await self._begin(environment.id)
            except EnvironmentUnavailable as error:
                self._failed[environment.id] = time.monotonic(), error
                raise
            with self._lock:
                self._started[environment.id] = template

    async def tend(self, *, idle_s: float = IDLE_S) -> None:
        """End templates that had no host for so long."""
        with self._lock:
            idle = [name for name, template in self._started.items() if template.is_idle(idle_s)]
            ending = [self._started.pop(name) for name in idle]
        for template in ending:
            await asyncio.to_thread(template.close)

    def memory_bytes(self) -> int:
        """What the templates of other environments than the platform's own take for themselves."""
        with self._lock:
            return sum(template.memory_bytes for template in self._started.values())

    def close(self) -> None:
        """End all templates and all their hosts."""
        self.environments.close()
        self._own.close()
        with self._lock:
            while self._started:
                self._started.popitem()[1].close()

    def _refuse_what_just_failed(self, environment_id: str) -> None:
        failed_at, error = self._failed.pop(environment_id, (0.0, None))
        if error is not None and time.monotonic() - failed_at < RETRY_S:
            self._failed[environment_id] = failed_at, error
            raise error

    async def _begin(self, environment_id: str) -> _EnvironmentTemplate:
        """Start its template; where it does not start the environment is broken, and built again once."""
        for anew in (False, True):
            held = await self.environments.get(environment_id, anew=anew)
            template = _EnvironmentTemplate(held, self._new_template(held.python))
            try:
                await asyncio.to_thread(template.start)
            except TemplateFailed:
                log.warning("environment does not start", environment=environment_id)
                template.close()
            else:
                log.info("template started", environment=environment_id)
                return template
        raise EnvironmentUnavailable(
            "The libraries that the model needs cannot be imported together.",
            "Check the versions in its requirements where it was trained: `pip check`, then import them.",
        )
