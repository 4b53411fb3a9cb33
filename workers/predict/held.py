"""A version on the shelf: what serves it, its processes, and what is known of their memory."""

import asyncio
import math
import time

from shared.catalog.model_settings import ModelSettings
from shared.predictions.placement import HeldVersion
from workers.predict.artifact import Artifact
from workers.predict.eviction import Standing
from workers.predict.scaling import Scaling
from workers.predict.served_version import ServedVersion
from workers.predict.version_host import VersionHost

# To measure a process takes the kernel 1 to 3 ms: of 20 at each heartbeat, a tenth of a core.
MEASURED_FOR_S = 2.0


class Held:
    """One version that this worker answers for.

    Attributes:
        memory_bytes: of all its processes; until they are measured, what the verdict said.
        scaling: the rules that watch it.
    """

    def __init__(self, served: ServedVersion, host: VersionHost, *, awaited: bool) -> None:
        self.served = served
        self.memory_bytes = host.artifact.memory_bytes
        self.scaling = Scaling()
        self._hosts, self._coming = [host], 0
        self._loaded_at, self._awaited = time.monotonic(), awaited
        self._measured_at = -math.inf

    @property
    def artifact(self) -> Artifact:
        """What its processes loaded."""
        return self._hosts[0].artifact

    @property
    def hosts(self) -> int:
        """Its processes, those that are being started included."""
        return self.served.hosts + self._coming

    @property
    def degraded(self) -> bool:
        """One of its processes crashes again and again."""
        return any(host.degraded for host in self._hosts)

    async def add_host(self, host: VersionHost) -> None:
        """Answer with one more process."""
        self._coming += 1
        self._hosts.append(host)
        try:
            await self.served.add_host(host)
            self._measured_at = -math.inf
        except BaseException:
            self._hosts.remove(host)
            raise
        finally:
            self._coming -= 1

    async def apply(self, settings: ModelSettings) -> None:
        """Serve as the settings say, from the next call on."""
        if any(host.artifact.settings != settings for host in self._hosts):
            self.served.apply(settings)
            await asyncio.gather(*(host.apply(settings) for host in self._hosts))

    def watch(self) -> None:
        """End the processes that do what nobody asked for."""
        for host in self._hosts:
            host.watch()

    async def measure(self) -> None:
        """Ask the kernel for the memory of every process, unless it can hardly have changed."""
        now = time.monotonic()
        if self.served.last_used < self._measured_at or now - self._measured_at < MEASURED_FOR_S:
            return
        self._measured_at = now
        self._hosts = [host for host in self._hosts if not host.let_go] or self._hosts[:1]
        hosts = list(self._hosts)
        self.memory_bytes = await asyncio.to_thread(lambda: sum(host.memory_bytes() for host in hosts))

    async def stop(self) -> None:
        """Answer what was taken, and end the processes."""
        try:
            await self.served.stop()
        finally:
            for host in self._hosts:
                host.kill()  # one that was still being loaded, too

    def standing(self, *, pinned: bool) -> Standing:
        """How it stands beside the others, should one have to go."""
        return Standing(
            version_id=self.artifact.version_id,
            memory_bytes=self.memory_bytes,
            loaded_at=self._loaded_at,
            last_used=self.served.last_used,
            waiting_rows=self.served.waiting_rows,
            pinned=pinned,
            awaited=self._awaited,
        )

    def told(self) -> HeldVersion:
        """For others to know."""
        return HeldVersion(
            version_id=self.artifact.version_id, hosts=self.hosts, busy=round(self.served.busy, 3)
        )
