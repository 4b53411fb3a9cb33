"""What this worker may use of the machine it runs on: cores and memory, as the kernel and its cgroup say."""

import os
import time
from pathlib import Path

MEMORY_SHARE = 0.6  # of the limit, for models; the rest is for the processes around them, and the page cache

_CGROUP = Path("/sys/fs/cgroup")
_MEMORY_LIMITS = (
    _CGROUP / "memory.max",
    _CGROUP / "memory" / "memory.limit_in_bytes",
)  # version 2, version 1
_QUOTA = _CGROUP / "cpu.max"


def cores() -> int:
    """The cores that this process may use; at least one."""
    allowed = len(os.sched_getaffinity(0))
    quota = _quota_cores()
    return allowed if quota is None else max(1, min(allowed, round(quota)))


def memory_bytes() -> int:
    """The memory of the machine, or of this process's cgroup where that is less."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    limits = [int(text) for text in map(_text, _MEMORY_LIMITS) if text.isdigit()]
    return min([pages * size, *limits])


def model_budget_bytes(setting: int, *, workers: int) -> int:
    """The memory that the models of one worker may have.

    Args:
        setting: what the operator says; 0 for a share of what there is.
        workers: predict workers that share the memory.
    """
    return setting or int(memory_bytes() * MEMORY_SHARE / max(1, workers))


class IdleCores:
    """How many cores did nothing of late, over all processes of the machine."""

    def __init__(self) -> None:
        self._ticks_per_s = os.sysconf("SC_CLK_TCK")
        self._at, self._idle = time.monotonic(), self._idle_ticks()

    def measure(self) -> float:
        """The idle cores since this was last asked, at most those that this process may use."""
        now, idle = time.monotonic(), self._idle_ticks()
        elapsed_s, ticks = max(now - self._at, 1e-3), idle - self._idle
        self._at, self._idle = now, idle
        return min(ticks / self._ticks_per_s / elapsed_s, float(cores()))

    @staticmethod
    def _idle_ticks() -> int:
        # The first line: "cpu  user nice system idle iowait …"
        fields = Path("/proc/stat").read_text().split(maxsplit=6)
        return int(fields[4]) + int(fields[5])


def _quota_cores() -> float | None:
    """What `cpu.max` grants: "max 100000" or "150000 100000"."""
    quota, _, period = _text(_QUOTA).partition(" ")
    return int(quota) / int(period) if quota.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
