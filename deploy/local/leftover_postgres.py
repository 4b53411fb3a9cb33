"""A server that an earlier run left behind, and the marks that it left on its data."""

import os
import signal
import time
from pathlib import Path

from deploy.local.errors import CannotStart
from deploy.local.process_table import Process, find_process


def stop_leftover(data: Path, sockets: Path) -> None:
    """Stop the server that still runs on `data`, so that ours can start.

    Raises:
        CannotStart: it does not stop.
    """
    process = _named_in(data / "postmaster.pid")
    if process is None:
        return  # nothing runs under that number: the server cleans up after it by itself
    if str(data) in process.command:
        _stop(process)
    else:
        # The number is another program's by now. The server would take that for a twin of itself.
        for mark in (data / "postmaster.pid", *sockets.glob(".s.PGSQL.*")):
            mark.unlink()


def _named_in(lock: Path) -> Process | None:
    if not lock.exists():
        return None
    number = lock.read_text().partition("\n")[0].strip()
    return find_process(int(number)) if number.isdecimal() else None


def _stop(process: Process) -> None:
    for how, patience_s in ((signal.SIGINT, 20), (signal.SIGQUIT, 10)):
        os.kill(process.pid, how)
        if _is_gone(process, within_s=patience_s):
            return
    raise CannotStart(
        f"a PostgreSQL of an earlier run does not stop: end process {process.pid}, then try again"
    )


def _is_gone(process: Process, *, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if find_process(process.pid) != process:
            return True
        time.sleep(0.02)
    return False
