"""Turns into another program that ends when its starter does, and that may run with fewer rights.

Run as a script, with nothing but the standard library, between `fork` and the program proper: an
interpreter is slower to start than a hook in the forked child, and safe in a process with threads.

    python -I -S leash.py SIGNAL STARTER ACCOUNT PROGRAM [ARGUMENT]...

SIGNAL is sent to the program when the process STARTER is gone (Linux only; elsewhere the next start
sweeps up). ACCOUNT is the user to become, or "-".
"""

import ctypes
import os
import pwd
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def leashed(program: Sequence[str], *, signal: int, account: str = "") -> list[str]:
    """Arguments that start `program`, its path first, so that it gets `signal` when this process ends.

    Args:
        account: the user to become; empty: none.
    """
    script = [sys.executable, "-I", "-S", __file__]
    return [*script, str(int(signal)), str(os.getpid()), account or "-", *program]


def become(account: str) -> None:
    """Give up this user's rights for those of `account`."""
    user = pwd.getpwnam(account)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def end_with(starter: int, signal: int) -> None:
    """Ask the kernel for `signal` when the starter ends. A change of user would cancel it: do that first."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal)
        if os.getppid() != starter:  # it ended before we asked
            sys.exit(1)


def main(signal: str, starter: str, account: str, *program: str) -> None:
    """Become `program`."""
    if account != "-":
        become(account)
    end_with(int(starter), int(signal))
    try:
        os.execv(program[0], program)  # noqa: S606  no shell is wanted
    except OSError as error:
        sys.stderr.write(f"cannot run {program[0]}: {error.strerror}\n")
        sys.exit(127)  # what a shell answers


if __name__ == "__main__":
    main(*sys.argv[1:])
