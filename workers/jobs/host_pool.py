"""Model hosts that stay warm between chunks."""

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from shared.jobs.order import Order
from shared.storage.store import Storage
from workers.hosting.process import HostProcess
from workers.hosting.template import HostTemplate


class HostPool:
    """Lends each host to one chunk at a time."""

    def __init__(self, template: HostTemplate, storage: Storage, *, size: int, load_timeout_s: float) -> None:
        """Args: size: how many idle hosts are kept; the one idle for longest goes first."""
        self._template, self._storage = template, storage
        self._size, self._load_timeout_s = size, load_timeout_s
        self._idle: deque[tuple[UUID, HostProcess]] = deque()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def lend(self, order: Order) -> AsyncIterator[HostProcess]:
        """A host that has loaded the order's version. One that is handed back in trouble is ended.

        Raises:
            HostDied, HostTimedOut: it could not be loaded.
        """
        host = self._take_idle(order.version_id) or await self._load(order)
        try:
            yield host
        except BaseException:
            host.kill()
            raise
        self._keep(order.version_id, host)

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
                    return held[1]
        return None

    def _keep(self, version_id: UUID, host: HostProcess) -> None:
        with self._lock:
            self._idle.append((version_id, host))
            if len(self._idle) > self._size:
                self._idle.popleft()[1].kill()

    async def _load(self, order: Order) -> HostProcess:
        artifact = await self._storage.descriptor(order.artifact_key)
        try:
            return await asyncio.to_thread(self._spawn, artifact, order)
        finally:
            os.close(artifact)

    def _spawn(self, artifact: int, order: Order) -> HostProcess:
        host = self._template.spawn()
        host.load(artifact, probe=False, signature=order.signature, timeout_s=self._load_timeout_s)
        return host
