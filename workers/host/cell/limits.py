"""What a host may use up."""

import os
import resource

from workers.host.cell import kernel

_OPEN_FILES = 64
_THREADS, _THREADS_A_CORE = 64, 16  # TensorFlow keeps several pools of as many threads as there are cores
_SHARED_MARGIN = 512  # of a user that has other processes, whose number changes
_NICENESS = 1  # whoever supervises goes first
_KB = 1024


def threads() -> int:
    """How many one host may have."""
    return _THREADS + _THREADS_A_CORE * (os.cpu_count() or 1)


def impose(*, memory_bytes: int, file_bytes: int, shared_user: bool) -> None:
    """Limit this process, which cannot undo it.

    Args:
        memory_bytes: for its own data, beyond what it shares with the template.
        file_bytes: of the largest file that it may write.
    """
    data = int(kernel.status("VmData").split()[0]) * _KB + memory_bytes
    tasks = tasks_of_user() + _SHARED_MARGIN if shared_user else threads()
    for kind, limit in (
        (resource.RLIMIT_DATA, data),
        (resource.RLIMIT_NPROC, tasks),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        _lower(kind, limit)
    os.nice(_NICENESS)


def _lower(kind: int, limit: int) -> None:
    """Where the operator has set a lower limit already, that holds."""
    hard = resource.getrlimit(kind)[1]
    least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (least, least))


def tasks_of_user() -> int:
    """Threads of all processes of this user, since the kernel counts them all against one limit."""
    own, tasks = os.getuid(), 0
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208  no pathlib between fork and door
        try:
            if os.stat(f"/proc/{name}").st_uid == own:  # noqa: PTH116  likewise
                tasks += len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208  likewise
        except OSError:  # it has just ended
            continue
    return tasks
