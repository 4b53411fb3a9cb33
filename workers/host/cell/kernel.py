"""System calls that Python has no words for."""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000

_PRIVATE_BELOW = 0x0004_4000  # MS_REC | MS_PRIVATE
_FILTER_MODE = 2  # SECCOMP_MODE_FILTER
_STEP_BYTES = 8  # `struct sock_filter`

Word = int | ctypes.Array[ctypes.c_char] | None


def call(number: int, *words: Word) -> int:
    """Make the system call with this number.

    Raises:
        OSError: it failed.
    """
    arguments = [ctypes.c_long(word) if isinstance(word, int) else word for word in words]
    return _checked(_libc.syscall(ctypes.c_long(number), *arguments))


def prctl(option: int, *words: int) -> int:
    """Change something about this process.

    Raises:
        OSError: it failed.
    """
    arguments = [ctypes.c_ulong(word) for word in (*words, 0, 0, 0, 0)[:4]]
    return _checked(_libc.prctl(ctypes.c_int(option), *arguments))


def unshare(flags: int) -> None:
    """Leave the namespaces that are shared with the parent.

    Raises:
        OSError: it is not allowed here.
    """
    _checked(_libc.unshare(ctypes.c_int(flags)))


def mount(kind: str, place: str, *, flags: int, data: str) -> None:
    """Mount a file system that stands on nothing.

    Raises:
        OSError: it is not allowed here.
    """
    words = [text.encode() for text in ("none", place, kind)]
    _checked(_libc.mount(*words, ctypes.c_ulong(flags), data.encode()))


def keep_mounts_private() -> None:
    """What is mounted from now on is seen in this namespace alone.

    Raises:
        OSError: the mounts are not this process's.
    """
    _checked(_libc.mount(None, b"/", None, ctypes.c_ulong(_PRIVATE_BELOW), None))


def unmount(place: str, *, flags: int) -> None:
    """Take a mount away.

    Raises:
        OSError: there is none.
    """
    _checked(_libc.umount2(place.encode(), ctypes.c_int(flags)))


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def install_filter(program: bytes) -> None:
    """Have the kernel ask this program about every system call that this process makes from now on.

    Raises:
        OSError: it takes none.
    """
    steps = _Program(len(program) // _STEP_BYTES, program)
    _checked(_libc.prctl(ctypes.c_int(PR_SET_SECCOMP), ctypes.c_ulong(_FILTER_MODE), ctypes.byref(steps)))


def status(field: str) -> str:
    """A line of /proc/self/status; empty where the kernel has none of that name."""
    with open("/proc/self/status") as lines:  # noqa: PTH123  no pathlib between fork and door
        return next((line.partition(":")[2].strip() for line in lines if line.startswith(field + ":")), "")


def _checked(result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
