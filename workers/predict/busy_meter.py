"""How much of the last second something was the case."""

import time
from collections import deque

WINDOW_S = 1.0


class BusyMeter:
    """Told when it begins and ends to be so; forgets what is older than a second."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._spans: deque[tuple[float, float]] = deque()

    def note(self, *, busy: bool) -> None:
        """It is so from now on, or no longer."""
        now = time.monotonic()
        if busy and self._began is None:
            self._began = now
        elif not busy and self._began is not None:
            self._spans.append((self._began, now))
            self._began = None
            self._forget(now)

    def fraction(self) -> float:
        """Of the last second, from 0 to 1."""
        now = time.monotonic()
        self._forget(now)
        start = now - WINDOW_S
        total = sum(end - max(began, start) for began, end in self._spans)
        if self._began is not None:
            total += now - max(self._began, start)
        return min(total / WINDOW_S, 1.0)

    def _forget(self, now: float) -> None:
        while self._spans and self._spans[0][1] < now - WINDOW_S:
            self._spans.popleft()
