"""The memory of each of the platform's processes over time, by sampling beside a measurement."""

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from bench.memory import written_bytes
from bench.running_platform import Platform


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the memory of a process, or of several together.

    Attributes:
        mib_an_hour: its slope by least squares over the last two thirds of the time.
    """

    name: str
    pid: int
    first_mib: float
    last_mib: float
    mib_an_hour: float


class ProcessMemory:
    """Samples, while it is open, what each process of the platform has written (see `written_bytes`)."""

    def __init__(self, platform: Platform, *, interval_s: float) -> None:
        self._platform, self._interval_s = platform, interval_s
        self._samples: dict[tuple[str, int], list[tuple[float, float]]] = {}  # seconds, MiB
        self._totals: list[tuple[float, float]] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._sample_on)
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()

    def trends(self) -> list[Trend]:
        """Of each process that was there for the last two thirds of the time, and of all together."""
        first, last = self._totals[0][0], self._totals[-1][0]
        settled = first + (last - first) / 3
        lasting = {
            key: samples
            for key, samples in self._samples.items()
            if samples[0][0] <= settled and samples[-1][0] >= last - self._interval_s
        }
        trends = [_trend(name, pid, samples, settled) for (name, pid), samples in lasting.items()]
        return [*trends, _trend("all together", 0, self._totals, settled)]

    def _sample_on(self) -> None:
        while True:
            self._sample()
            if self._closed.wait(self._interval_s):
                return

    def _sample(self) -> None:
        at, found = time.monotonic() - self._started, defaultdict(float)
        for pid, (name, process) in self._platform.processes().items():
            whole = name.startswith("postgres")  # a process a connection: they count as one
            found[("postgres", 0) if whole else (name, pid)] += written_bytes(process) / 2**20
        for key, mib in found.items():
            self._samples.setdefault(key, []).append((at, mib))
        self._totals.append((at, sum(found.values())))


def _trend(name: str, pid: int, samples: Sequence[tuple[float, float]], settled: float) -> Trend:
    late = [(at, mib) for at, mib in samples if at >= settled]
    slope = np.polyfit(*zip(*late, strict=True), deg=1)[0] * 3600 if len(late) > 2 else float("nan")
    return Trend(
        name=name, pid=pid, first_mib=samples[0][1], last_mib=samples[-1][1], mib_an_hour=float(slope)
    )
