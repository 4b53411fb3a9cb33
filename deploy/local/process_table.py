"""The processes of this machine, and which of them is which: numbers are used again, start times are not."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec


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
    return list(_from_proc() if sys.platform == "linux" else _from_ps())


def find_process(pid: int) -> Process | None:
    """The process with this number, if there is one."""
    return next((process for process in processes() if process.pid == pid), None)


def _from_proc() -> Iterator[Process]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                # The name stands in parentheses and may hold any character; what follows are plain fields.
                fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                command = (
                    (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
                )
            except OSError:  # it ended while we looked
                continue
            state, group, ticks = fields[0], int(fields[2]), fields[19]
            if state not in {"Z", "X"}:
                yield Process(int(folder.name), group, f"{boot}/{ticks}", command)


def _from_ps() -> Iterator[Process]:
    listing = subprocess.run(
        ["/bin/ps", "-axo", "pid=,pgid=,stat=,lstart=,command="], capture_output=True, text=True, check=True
    )
    for line in listing.stdout.splitlines():
        pid, group, state, *rest = line.split(maxsplit=8)  # a start time has five words
        if not state.startswith("Z"):
            yield Process(int(pid), int(group), " ".join(rest[:5]), " ".join(rest[5:]))
