"""Memory of processes, and its peak by sampling."""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import psutil

INTERVAL_S = 0.5  # a look at each page of many processes: more often it takes a tenth of two cores
_TOUCHED_BYTES = 256 * 2**20


class PeakMemory:
    """Samples, while it is open, the memory of the processes that `find` names; `mib` is the peak of the sum.

    Pages that several processes share count once, in parts (PSS); where the system does not tell,
    only those that a process has for itself.
    """

    def __init__(self, find: Callable[[], Iterable[psutil.Process]]) -> None:
        self._find, self._closed = find, threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._peak_bytes = 0

    @property
    def mib(self) -> float:
        """The highest sum seen, in MiB."""
        return self._peak_bytes / 2**20

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._closed.wait(INTERVAL_S):
            self._peak_bytes = max(self._peak_bytes, sum(map(memory_bytes, self._find())))


def process_tree(pid: int) -> list[psutil.Process]:
    """The process and all below it, or nothing where it has ended."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def memory_bytes(process: psutil.Process) -> int:
    """Its share of the memory that it uses (PSS); 0 where it has ended."""
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        memory = process.memory_full_info()
        return getattr(memory, "pss", memory.uss)
    return 0


def written_bytes(process: psutil.Process) -> int:
    """Its share of what it and those it shares with have written (PSS without files); 0 where it has ended.

    Of a library's pages its share grows when another process that uses the library ends, be it none of ours.
    """
    with suppress(OSError, psutil.NoSuchProcess):
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        fields = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
        return sum(int(fields[name].split()[0]) for name in ("Pss_Anon", "Pss_Shmem")) * 1024
    return 0


def touch_free_memory() -> None:
    """Use most of the memory that is free, once.

    A virtual machine is given its memory when it first uses it, which makes the first files that are written
    several times as slow as all later ones.
    """
    pieces = int(0.8 * psutil.virtual_memory().free) // _TOUCHED_BYTES
    held = [np.ones(_TOUCHED_BYTES, np.uint8) for _ in range(pieces)]
    del held
