"""What code in a cell must not get away with, tried from inside one.

A host that is no model's tries each, and says which it got away with. Every attempt is harmless where it
succeeds: it takes back what it did, or did nothing yet.
"""

import ctypes
import errno
import mmap
import os
import resource
import socket
from collections.abc import Callable

from workers.host.cell import kernel
from workers.host.cell.system_calls import machine, numbers

_PTRACE_SEIZE = 0x4206  # becomes a tracer without stopping anybody; ends with this process
_IPC_PRIVATE = 0


def escapes(secret: str, *, memory_bytes: int) -> list[str]:
    """What succeeded, in words that go on from "a model could …".

    Args:
        secret: a file that every user of the system may read.
        memory_bytes: that this process may not have.
    """
    tries: dict[str, Callable[[], object]] = {
        "read other files": lambda: os.close(os.open(secret, os.O_RDONLY)),
        "write files": lambda: _write_beside(secret),
        "read the secrets of other processes": lambda: os.close(
            os.open(f"/proc/{os.getppid()}/environ", os.O_RDONLY)
        ),
        "open network connections": lambda: socket.socket(socket.AF_INET).close(),
        "speak to services of this machine": lambda: socket.socket(socket.AF_UNIX).close(),
        "start processes": _fork,
        "start programs": _execute,
        "signal other processes": lambda: os.kill(os.getppid(), 0),
        "raise its limits": _raise_limit,
        "take more memory than it may": lambda: mmap.mmap(-1, memory_bytes, mmap.MAP_PRIVATE).close(),
        "take memory that nobody counts": lambda: mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_SHARED).close(),
        "leave memory behind": _share_memory,
    }
    return [words for words, attempt in tries.items() if _succeeds(attempt)]


def trace() -> list[str]:
    """Trace the parent. Where system calls are filtered this ends the process, and nothing is returned."""
    number = numbers(machine()).get("ptrace")
    if number is None:
        return []
    attempt = _succeeds(lambda: kernel.call(number, _PTRACE_SEIZE, os.getppid(), 0, 0))
    return ["trace other processes"] if attempt else []


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (OSError, ValueError, MemoryError):
        return False
    return True


def _write_beside(secret: str) -> None:
    path = f"{secret}.written"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    os.unlink(path)  # noqa: PTH108  no pathlib in a cell: it may import


def _fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _execute() -> None:
    """Run what is not there: who may run programs hears just that."""
    try:
        os.execv("/nothing/is/here", ["nothing"])  # noqa: S606  see above
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EACCES):
            raise


def _raise_limit() -> None:
    """Ask for the right to other processes' limits: the parent's, left as it is."""
    resource.prlimit(os.getppid(), resource.RLIMIT_CORE, resource.prlimit(os.getppid(), resource.RLIMIT_CORE))


def _share_memory() -> None:
    number = numbers(machine())["shmget"]
    segment = kernel.call(number, _IPC_PRIVATE, mmap.PAGESIZE, 0o600)
    ctypes.CDLL(None).shmctl(segment, 0, None)  # IPC_RMID
