"""A document that is fetched, kept for a while, and fetched by one at a time."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from shared.errors import PlatformError

T = TypeVar("T")

_FAILED_FOR_S = 2.0  # whoever waited for a fetch that failed is told so, and does not try as well
_RENEWALS, _RENEWALS_WITHIN_S = 5, 60.0


class Remembered(Generic[T]):
    """What `fetch` gave last."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], *, good_for_s: float) -> None:
        self._fetch, self._good_for_s = fetch, good_for_s
        self._lock = asyncio.Lock()
        self._value: T | None = None
        self._fetched_at = 0.0
        self._failure: tuple[float, PlatformError] | None = None
        self._renewals: deque[float] = deque(maxlen=_RENEWALS)

    async def get(self) -> T:
        """The document, at most `good_for_s` seconds old.

        Raises:
            PlatformError: as the fetch did.
        """
        async with self._lock:
            if self._value is not None and time.monotonic() < self._fetched_at + self._good_for_s:
                return self._value
            return await self._fetched()

    async def renewed(self, old: T) -> T:
        """One that is newer than `old`, or `old` where it was renewed too often of late."""
        async with self._lock:
            if self._value is not None and self._value is not old:
                return self._value
            now = time.monotonic()
            if len(self._renewals) == _RENEWALS and now < self._renewals[0] + _RENEWALS_WITHIN_S:
                return old
            self._renewals.append(now)
            return await self._fetched()

    async def _fetched(self) -> T:
        if self._failure is not None and time.monotonic() < self._failure[0] + _FAILED_FOR_S:
            raise self._failure[1]
        try:
            self._value = await self._fetch()
        except PlatformError as error:
            self._failure = (time.monotonic(), error)
            raise
        self._fetched_at = time.monotonic()
        self._failure = None
        return self._value
