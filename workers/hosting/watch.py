"""Watches what a host does while nobody asks it anything: that costs others, and no limit of the kernel's."""

import os
import time
from pathlib import Path

import msgspec

from workers.host.cell import limits

# While it is idle. Pools of threads spin for a moment after a call, and caches are freed; on a busy machine,
# whoever computes all the time gets but a small share.
_FREE_SHARE = 0.05  # of a core, for ever
_FREE_CPU_S = 2.0  # beyond that, in all
_AFTER_NAME = 2  # what stands behind the name of the program in /proc/PID/stat: from the third field on
_USER_TICKS, _SYSTEM_TICKS, _THREADS = 13 - _AFTER_NAME, 14 - _AFTER_NAME, 19 - _AFTER_NAME


class Usage(msgspec.Struct, frozen=True):
    """What a process has used, and when that was asked."""

    cpu_s: float
    threads: int
    at: float  # monotonic


def usage_of(pid: int) -> Usage | None:
    """Ask the kernel, some 20 µs; None once the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    ticks = int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), int(fields[_THREADS]), time.monotonic())


class Watch:
    """Of one host. Look now and then."""

    def __init__(self) -> None:
        self._last: Usage | None = None
        self._idle_cpu_s = 0.0

    def look(self, usage: Usage, *, idle: bool) -> str | None:
        """What it must be ended for, if anything.

        Args:
            idle: nobody has asked it anything since the last look.
        """
        if usage.threads > limits.threads():
            return f"it runs {usage.threads} threads"
        last, self._last = self._last, usage
        if last is None or not idle:
            return None
        used_s = usage.cpu_s - last.cpu_s - _FREE_SHARE * (usage.at - last.at)
        self._idle_cpu_s = max(0.0, self._idle_cpu_s + used_s)
        return "it computes while nobody asks it anything" if self._idle_cpu_s > _FREE_CPU_S else None
