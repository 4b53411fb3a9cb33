"""Inputs tried one after the other in a process that may die of them, eat memory, or hang."""

import multiprocessing
import os
import resource
import time
import traceback
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

MEMORY_BYTES = 1024 * 1024 * 1024  # beside what the process has when it begins
PEAK_BYTES = 512 * 1024 * 1024  # of what it really used, likewise
TIME_S = 20.0  # of one input, on a machine that does much else

Trial = Callable[[int], str]


class Fault(msgspec.Struct, frozen=True):
    """An input that came to no good end, and what that was."""

    number: int
    what: str


class Tried(msgspec.Struct):
    """What came of all inputs."""

    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    faults: list[Fault] = msgspec.field(default_factory=list)
    slowest_s: float = 0.0
    peak_bytes: int = 0

    @property
    def inputs(self) -> int:
        """How many."""
        return self.outcomes.total()


def tried(trial: Trial, *, first: int, count: int | None = None, seconds: float | None = None) -> Tried:
    """Try inputs from number `first` on, so many of them or for so long.

    Args:
        trial: what came of an input, in a word; raises where it is a fault.
    """
    total, number = Tried(), first
    end = None if seconds is None else time.monotonic() + seconds
    while (count is None or number < first + count) and (end is None or time.monotonic() < end):
        last = None if count is None else first + count
        number = _tried_by_one_process(trial, total, number=number, last=last, end=end)
    return total


def _tried_by_one_process(
    trial: Trial, total: Tried, *, number: int, last: int | None, end: float | None
) -> int:
    """The number to go on with: behind that which ended the process, or the last."""
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=_try_each, args=(trial, theirs, number, last), daemon=True)
    process.start()
    theirs.close()
    try:
        while (last is None or number < last) and (end is None or time.monotonic() < end):
            what = _report(ours, process)
            if isinstance(what, str):
                total.outcomes["fault"] += 1
                total.faults.append(Fault(number, what))
                return number + 1
            _count(total, number, what)
            number += 1
        return number
    finally:
        process.kill()
        process.join()


def _report(
    ours: Connection, process: multiprocessing.process.BaseProcess
) -> "tuple[str, bool, float, int] | str":
    if not ours.poll(TIME_S):
        return f"hangs: no end within {TIME_S} s"
    try:
        report: tuple[str, bool, float, int] = ours.recv()
    except EOFError:
        process.join()
        return f"dies: exit code {process.exitcode}"
    if report[3] > PEAK_BYTES:
        return f"eats memory: {report[3] >> 20} MiB ({report[0]})"
    return report


def _count(total: Tried, number: int, report: tuple[str, bool, float, int]) -> None:
    what, is_fault, took_s, peak = report
    total.outcomes["fault" if is_fault else what] += 1
    if is_fault:
        total.faults.append(Fault(number, what))
    total.slowest_s = max(total.slowest_s, took_s)
    total.peak_bytes = max(total.peak_bytes, peak)


def _try_each(trial: Trial, theirs: Connection, number: int, last: int | None) -> None:
    os.nice(5)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    before = _peak_bytes()
    limit = _address_space() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while last is None or number < last:
        began = time.monotonic()
        what, is_fault = _outcome(trial, number)
        theirs.send((what, is_fault, time.monotonic() - began, _peak_bytes() - before))
        number += 1


def _outcome(trial: Trial, number: int) -> tuple[str, bool]:
    try:
        return trial(number), False
    except BaseException as error:  # noqa: BLE001  all of them are what is looked for
        return "".join(traceback.format_exception(error))[-3000:], True


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
