"""How often a version's hosts died of late, and what follows from that."""

import time
from collections import deque

TO_DEGRADE = 5
WINDOW_S = 300.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


class Crashes:
    """Of one version, within the last few minutes."""

    def __init__(self) -> None:
        self._at: deque[float] = deque(maxlen=TO_DEGRADE)

    @property
    def too_many(self) -> bool:
        """The version is degraded."""
        return len(self._at) == TO_DEGRADE and self._at[0] > _window_start()

    def note(self) -> None:
        """One more, now."""
        self._at.append(time.monotonic())

    def pause_s(self) -> float:
        """Before the next host: longer after each, so that a model that dies at once costs little."""
        crashes = sum(at > _window_start() for at in self._at)
        return 0.0 if crashes < 2 else min(FIRST_PAUSE_S * 2**crashes, LONGEST_PAUSE_S)  # noqa: PLR2004  the first is free


def _window_start() -> float:
    return time.monotonic() - WINDOW_S
