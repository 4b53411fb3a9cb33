"""Model hosts that stay warm between chunks."""

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from shared.jobs.order import Order
from shared.storage.store import Storage
from workers.hosting.process import HostProcess
from workers.hosting.templates import Templates
from workers.jobs.host_loan import HostLoan

Begin = Callable[[HostProcess], Awaitable[None]]


async def _begin_nothing(_: HostProcess) -> None:
    """For those who need not know the host before it loads."""


class HostPool:
    """Lends each host to one chunk at a time."""

    def __init__(self, templates: Templates, storage: Storage, *, size: int, load_timeout_s: float) -> None:
        """Args: size: how many idle hosts are kept; the one idle for longest goes first."""
        self._templates, self._storage = templates, storage
        self._size, self._load_timeout_s = size, load_timeout_s
        self._idle: deque[tuple[UUID, HostProcess]] = deque()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def lend(self, order: Order, *, begin: Begin = _begin_nothing) -> AsyncIterator[HostLoan]:
        """A host that has loaded the order's version. One that is handed back in trouble is ended.

        Args:
            begin: called with the host before it loads, and with each that takes its place.

        Raises:
            HostDied, HostTimedOut: it could not be loaded.
            EnvironmentUnavailable: what it runs in cannot be had.
        """
        idle = self._take_idle(order.version_id)
        loan = HostLoan(await self._ready(order, begin, idle=idle), lambda: self._ready(order, begin))
        try:
            yield loan
        except BaseException:
            loan.kill()
            raise
        self._keep(order.version_id, loan.host)

    def close(self) -> None:
        """End the idle hosts."""
        with self._lock:
            while self._idle:
                self._idle.popleft()[1].kill()

    def _take_idle(self, version_id: UUID) -> HostProcess | None:
        with self._lock:
            for held in self._idle:
                if held[0] == version_id:
                    self._idle.remove(held)
                    held[1].link.resume()
                    return held[1]
        return None

    def _keep(self, version_id: UUID, host: HostProcess) -> None:
        host.link.pause()  # a model has nothing to do between its chunks
        with self._lock:
            self._idle.append((version_id, host))
            if len(self._idle) > self._size:
                self._idle.popleft()[1].kill()

    async def _ready(self, order: Order, begin: Begin, *, idle: HostProcess | None = None) -> HostProcess:
        """The idle host, or a fresh one, that has loaded the version."""
        await self._templates.tend()
        host = idle or await self._templates.spawn(order.environment)
        try:
            await begin(host)
            if idle is None:
                await self._load(host, order)
        except BaseException:
            host.kill()
            raise
        return host

    async def _load(self, host: HostProcess, order: Order) -> None:
        artifact = await self._storage.descriptor(order.artifact_key)
        try:
            await asyncio.to_thread(self._open, host, artifact, order)
        finally:
            os.close(artifact)

    def _open(self, host: HostProcess, artifact: int, order: Order) -> None:
        host.load(
            artifact,
            probe=False,
            signature=order.signature,
            many_rows=order.accelerate,
            timeout_s=self._load_timeout_s,
        )
