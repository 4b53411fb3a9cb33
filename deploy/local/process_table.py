"""The processes of this machine, and which of them is which: numbers are used again, start times are not."""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

_HAS_PROC = Path("/proc/self/stat").exists()  # Linux; elsewhere `ps` says the same


class Process(msgspec.Struct, frozen=True):
    """A process as the kernel shows it.

    Attributes:
        started: tells it from any other process that ever had its number.
        command: its arguments, separated by spaces.
    """

    pid: int
    group: int
    started: str
    command: str


def processes() -> list[Process]:
    """Every process that runs now, but for those that ended and wait to be collected."""
    return list(_from_proc() if _HAS_PROC else _from_ps())


def find_process(pid: int) -> Process | None:
    """The process with this number, if there is one."""
    if _HAS_PROC:
        return _read_proc(Path("/proc", str(pid)))
    return next(_from_ps("-p", str(pid)), None)


def _from_proc() -> Iterator[Process]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (process := _read_proc(folder)):
            yield process


def _read_proc(folder: Path) -> Process | None:
    try:
        # The name stands in parentheses and may hold any character; what follows are plain fields.
        fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        command = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
    except OSError:  # it ended while we looked
        return None
    state, group, ticks = fields[0], int(fields[2]), fields[19]
    return None if state in {"Z", "X"} else Process(int(folder.name), group, f"{_boot()}/{ticks}", command)


@cache
def _boot() -> str:
    """Tells this run of the machine from others: start times count from there."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _from_ps(*which: str) -> Iterator[Process]:
    arguments = ["/bin/ps", *(which or ("-ax",)), "-o", "pid=,pgid=,stat=,lstart=,command="]
    listing = subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603  our own words
    for line in listing.stdout.splitlines():
        pid, group, state, *rest = line.split(maxsplit=8)  # a start time has five words
        if not state.startswith("Z"):
            yield Process(int(pid), int(group), " ".join(rest[:5]), " ".join(rest[5:]))
