"""What a host gives up before it sees its artifact.

The layers that need no privilege and cost nothing. Files, network and system calls are fenced in
here as well once they are.
"""

import ctypes
import os
import resource
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_OPEN_FILES = 64

_libc = ctypes.CDLL(None, use_errno=True)


class NotConfined(Exception):
    """A layer could not be put on."""


def enter(parent: int) -> None:
    """Put every layer on this process.

    Args:
        parent: the template's process id. If it is gone already, its death will not be signalled.

    Raises:
        NotConfined: the host must not go on.
    """
    os.setsid()
    _first_to_go_when_memory_runs_out()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _prctl(_PR_SET_DUMPABLE, 0)  # no other process of this user may look into it
    if os.getppid() != parent:
        raise NotConfined("the template died during the fork")


def _first_to_go_when_memory_runs_out() -> None:
    with open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123  no pathlib between fork and fence
        score.write("1000")


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise NotConfined(f"prctl {option}: {os.strerror(ctypes.get_errno())}")
