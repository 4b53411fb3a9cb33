"""How much of the last second something was the case."""

import time
from collections import deque

WINDOW_S = 1.0


class BusyMeter:
    """Told when it begins and ends to be so; forgets what is older than a second."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._spans: deque[tuple[float, float]] = deque()  # thousands a second, for a swift model
        self._sum_s = 0.0  # of all of them, so that nobody need add them up

    def note(self, *, busy: bool) -> None:
        """It is so from now on, or no longer."""
        now = time.monotonic()
        if busy and self._began is None:
            self._began = now
        elif not busy and self._began is not None:
            self._spans.append((self._began, now))
            self._sum_s += now - self._began
            self._began = None
            self._forget(now)

    def fraction(self) -> float:
        """Of the last second, from 0 to 1."""
        now = time.monotonic()
        self._forget(now)
        start = now - WINDOW_S
        total_s = self._sum_s
        if self._spans:
            total_s -= max(0.0, start - self._spans[0][0])  # what of the oldest is before the window
        if self._began is not None:
            total_s += now - max(self._began, start)
        return min(max(total_s / WINDOW_S, 0.0), 1.0)

    def _forget(self, now: float) -> None:
        while self._spans and self._spans[0][1] < now - WINDOW_S:
            began, end = self._spans.popleft()
            self._sum_s -= end - began
        if not self._spans:
            self._sum_s = 0.0  # without the errors of rounding
