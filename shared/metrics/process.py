"""What a process knows of itself: memory, time on the processor, how late its event loop is."""

import resource
import time
from collections.abc import Iterator
from pathlib import Path

from shared.metrics.family import Family, Kind

_STATM = Path("/proc/self/statm")  # sizes in pages: all, resident, …


class ProcessMetrics:
    """The families of this process.

    Attributes:
        lag_s: by how much the last task that slept woke too late.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.lag_s = 0.0

    def families(self) -> Iterator[Family]:
        """Measured now."""
        yield Family(
            name="modelyard_processes",
            kind=Kind.GAUGE,
            help="Processes that are alive.",
            labels=("kind",),
            values={(self._kind,): [1.0]},
        )
        yield Family(
            name="modelyard_process_cpu_seconds_total",
            kind=Kind.COUNTER,
            help="Time on the processor, of all processes of a kind; without their model hosts.",
            labels=("kind",),
            values={(self._kind,): [round(time.process_time(), 3)]},
        )
        yield _of_itself("resident_memory_bytes", "Memory that the process holds.", resident_bytes())
        yield _of_itself(
            "event_loop_lag_seconds", "How late the event loop last woke who slept.", round(self.lag_s, 6)
        )


def resident_bytes() -> float:
    """What the kernel says that this process holds."""
    return float(_STATM.read_text().split()[1]) * resource.getpagesize()


def _of_itself(name: str, help_text: str, value: float) -> Family:
    return Family(
        name=f"modelyard_process_{name}", kind=Kind.GAUGE, help=help_text, each=True, values={(): [value]}
    )
