"""What is running, written down, so that the next start can sweep up what this one left behind.

On Linux our processes end with us even when we are killed; elsewhere, and for what they had started
themselves, the record is what finds them.
"""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from deploy.local.command import ROOT
from deploy.local.process_table import Process, find_process, processes


class Record(msgspec.Struct, frozen=True):
    """A process that we started: it leads a group of its own number."""

    name: str
    pid: int
    started: str
    stop_signal: int


class Records:
    """The file in which the running processes stand."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._running: dict[str, Record] = {}

    def started(self, name: str, pid: int, stop_signal: int) -> None:
        """Note a process right after its start."""
        if process := find_process(pid):
            self._running[name] = Record(name, pid, process.started, stop_signal)
            self._write()

    def ended(self, name: str) -> None:
        """Forget a process, and all that it had started, after their end."""
        if self._running.pop(name, None):
            self._write()

    def sweep(self, *, patience_s: float = 10.0) -> list[str]:
        """End what an earlier run left behind; the names of what there was."""
        left = [(record, group) for record in self._read() if (group := _left_of(record))]
        for record, group in left:
            _signal(group, record.stop_signal)
        _wait_for_end([process for _, group in left for process in group], patience_s)
        for record, _ in left:
            _signal(_left_of(record), signal.SIGKILL)
        self._write()
        return [record.name for record, _ in left]

    def _read(self) -> list[Record]:
        with suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode(self._path.read_bytes(), type=list[Record])
        return []

    def _write(self) -> None:
        unfinished = self._path.with_suffix(".unfinished")
        with suppress(
            OSError
        ):  # a full disk must end nothing that runs: the record matters only after a kill
            unfinished.write_bytes(msgspec.json.encode(list(self._running.values())))
            unfinished.rename(self._path)


def _left_of(record: Record) -> list[Process]:
    """What runs of a recorded group, and surely is ours.

    The number may be another program's by now. The leader is ours if it began when we noted. If it is gone,
    its number is not given away while the group has members; these are ours if they name this checkout.
    """
    group = [process for process in processes() if process.group == record.pid]
    leader = next((process for process in group if process.pid == record.pid), None)
    if leader is None:
        return [process for process in group if str(ROOT) in process.command]
    return group if leader.started == record.started else []


def _signal(group: Iterable[Process], number: int) -> None:
    for process in group:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _wait_for_end(left: list[Process], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and any(_still_runs(process) for process in left):
        time.sleep(0.02)


def _still_runs(process: Process) -> bool:
    now = find_process(process.pid)
    return now is not None and now.started == process.started
