"""How busy something was of late, from 0 to 1, without keeping a history."""

import math
import time

MEMORY_S = 1.0  # what is longer ago counts little


class BusyMeter:
    """A fading average over being busy (1) and being idle (0)."""

    def __init__(self) -> None:
        self._average = 0.0
        self._busy = False
        self._since = time.monotonic()

    @property
    def average(self) -> float:
        """The average up to now."""
        fade = math.exp((self._since - time.monotonic()) / MEMORY_S)
        return self._average * fade + (1.0 - fade if self._busy else 0.0)

    def note(self, *, busy: bool) -> None:
        """From now on, it is busy or idle."""
        if busy != self._busy:
            self._average = self.average
            self._busy = busy
            self._since = time.monotonic()
