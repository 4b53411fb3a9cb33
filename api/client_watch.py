"""Notices that a client has left before its answer, so that its request frees its place.

ASGI tells of it only to who awaits `receive`, and a task for every request would cost more than the rest of
the path: the watch begins when a request has become slow.
"""

import asyncio
import contextlib

from litestar.types import Receive


class ClientWatch:
    """Watches one request, whose handling is cancelled when its client leaves."""

    __slots__ = ("_handling", "_receive", "_task", "left")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._handling = asyncio.current_task()
        self._task: asyncio.Task[None] | None = None
        self.left = False

    def begin(self) -> None:
        """From now on, a client that leaves ends its request."""
        if self._task is None:
            self._task = asyncio.create_task(self._wait())

    def end(self) -> None:
        """The answer is there, or will not come."""
        if self._task is not None:
            self._task.cancel()

    async def _wait(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self.left = True
            if self._handling is not None:
                self._handling.cancel()
