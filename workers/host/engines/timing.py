"""Measures from how many to how many rows an engine is the faster one."""

import time
from collections.abc import Callable
from statistics import median
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
        ratio = _seconds(native, call) / max(_seconds(engine, call), 1e-9)
        measured_to = size
        if size in _TOLD:
            speed_up[str(size)] = round(ratio, 1)
        if ratio <= 1:
            break
        wins_to = size
    return Timing(speed_up, wins_to, measured_to)


def _seconds(predict: Predict, call: Floats) -> float:
    """The median of several runs, after one that warms up."""
    predict(call)
    took: list[float] = []
    end = time.perf_counter() + _SECONDS_A_SIZE
    while len(took) < _RUNS and (not took or time.perf_counter() < end):
        started = time.perf_counter()
        predict(call)
        took.append(time.perf_counter() - started)
    return median(took)
