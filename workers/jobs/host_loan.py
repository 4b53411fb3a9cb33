"""A host lent to one chunk, which may ask for a fresh one in its place."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from workers.hosting.process import HostProcess


class HostLoan:
    """The host that the chunk works with at present.

    Attributes:
        host: to be asked for anew after each replacement.
    """

    def __init__(self, host: HostProcess, load: Callable[[], Coroutine[Any, Any, HostProcess]]) -> None:
        """On the event loop. Args: load: a fresh host with the same version."""
        self.host, self._load = host, load
        self._loop = asyncio.get_running_loop()

    def replace(self) -> HostProcess:
        """End the host and take a fresh one. From a thread, which waits for it.

        Raises:
            HostDied, HostTimedOut: it could not be loaded.
        """
        self.host.kill()
        self.host = asyncio.run_coroutine_threadsafe(self._load(), self._loop).result()
        return self.host

    def kill(self) -> None:
        """End the host, whatever it does."""
        self.host.kill()
