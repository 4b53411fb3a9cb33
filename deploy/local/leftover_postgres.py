"""A server that an earlier run left behind, and the marks that it left on its data."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deploy.local.errors import CannotStart
from deploy.local.process_table import Process, find_process


def stop_leftover(data: Path, sockets: Path) -> None:
    """Stop the server that still runs on `data`, so that ours can start.

    Raises:
        CannotStart: it does not stop.
    """
    lock = data / "postmaster.pid"
    if not lock.exists():
        return
    process = _named_in(lock)
    if process and str(data) in process.command:
        _stop(process)
    # The number in the lock may be another program's by now, or that of a dead process which nobody collects:
    # the server would take either for a twin of itself. Nobody works on the data: the lock means nothing.
    if not _comes_true(lambda: not _anybody_in(data), within_s=10):
        raise CannotStart(f"parts of an earlier PostgreSQL still work in {data}: end them, then try again")
    for mark in (lock, *sockets.glob(".s.PGSQL.*")):
        mark.unlink(missing_ok=True)


def _named_in(lock: Path) -> Process | None:
    number = lock.read_text().partition("\n")[0].strip()
    return find_process(int(number)) if number.isdecimal() else None


def _stop(process: Process) -> None:
    for how, patience_s in ((signal.SIGINT, 20), (signal.SIGQUIT, 10)):
        with suppress(ProcessLookupError):
            os.kill(process.pid, how)
        if _comes_true(lambda: find_process(process.pid) is None, within_s=patience_s):
            return
    raise CannotStart(
        f"a PostgreSQL of an earlier run does not stop: end process {process.pid}, then try again"
    )


def _anybody_in(data: Path) -> bool:
    """Whether a process has the data as its folder, as every part of a server does (seen on Linux only)."""
    folder = str(data.resolve())
    return any(_current_folder(process) == folder for process in Path("/proc").glob("[0-9]*"))


def _current_folder(process: Path) -> str:
    try:
        return str((process / "cwd").readlink())
    except OSError:  # it ended, or is another user's
        return ""


def _comes_true(condition: Callable[[], bool], *, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
