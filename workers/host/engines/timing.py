"""Measures from how many to how many rows an engine is the faster one."""

import math
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from workers.host.engines.links import Floats

SIZES = (1, 64, 256, 1024, 4096)  # rows of a call
_TOLD = (1, 64)
_RUNS = 15
_SECONDS_A_SIZE = 0.04  # for each of the two

Predict = Callable[[Floats], Any]


class Timing(msgspec.Struct, frozen=True):
    """What was measured.

    Attributes:
        speed_up: native's time over the engine's, by rows of a call.
        wins_to: the largest size up to which the engine is always the faster; 0: it never is.
        measured_to: the largest size that was measured.
    """

    speed_up: dict[str, float]
    wins_to: int
    measured_to: int

    @property
    def native_above_rows(self) -> int | None:
        """From which size on native is to be used: None where it never won."""
        return self.wins_to if self.wins_to < self.measured_to else None


def measure(native: Predict, engine: Predict, rows: Floats, *, seconds: float) -> Timing:
    """Time both on calls of growing size, until one takes the time that is left."""
    end = time.monotonic() + seconds
    speed_up: dict[str, float] = {}
    wins_to = measured_to = 0
    for size in SIZES:
        if time.monotonic() > end:
            break
        call = np.resize(rows, (size, rows.shape[1]))
        ratio = _ratio(native, engine, call)
        measured_to = size
        if size in _TOLD:
            speed_up[str(size)] = round(ratio, 1)
        if ratio <= 1:
            break
        wins_to = size
    return Timing(speed_up, wins_to, measured_to)


def _ratio(native: Predict, engine: Predict, call: Floats) -> float:
    """How many times the engine's time native takes.

    Of each its quickest run counts, and they take turns: what else the machine does only makes runs longer,
    and would otherwise choose between the two.
    """
    quickest = [math.inf, math.inf]
    for predict in (native, engine):
        predict(call)  # to warm up
    end = time.perf_counter() + 2 * _SECONDS_A_SIZE
    for _ in range(_RUNS):
        for which, predict in enumerate((native, engine)):
            quickest[which] = min(quickest[which], _seconds(predict, call))
        if time.perf_counter() > end:
            break
    return quickest[0] / max(quickest[1], 1e-9)


def _seconds(predict: Predict, call: Floats) -> float:
    started = time.perf_counter()
    predict(call)
    return time.perf_counter() - started
