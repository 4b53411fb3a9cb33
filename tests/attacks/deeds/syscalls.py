"""System calls by their number: what has no name in Python."""

import ctypes
import os
import platform

_X86 = {
    "clone": 56, "execve": 59, "shmget": 29, "shmat": 30, "msgget": 68, "semget": 64,
    "ptrace": 101, "mount": 165, "add_key": 248, "keyctl": 250, "unshare": 272, "perf_event_open": 298,
    "process_vm_readv": 310, "process_vm_writev": 311, "seccomp": 317, "bpf": 321, "userfaultfd": 323,
    "pidfd_getfd": 438, "pidfd_open": 434, "io_uring_setup": 425, "open_by_handle_at": 304,
    "setns": 308, "kcmp": 312, "mknod": 133, "name_to_handle_at": 303, "landlock_restrict_self": 446,
    "personality": 135, "quotactl": 179, "fanotify_init": 300, "init_module": 175, "kexec_load": 246,
    "swapon": 167, "reboot": 169, "settimeofday": 164, "syslog": 103, "iopl": 172, "chroot": 161,
    "pivot_root": 155, "acct": 163, "modify_ldt": 154, "process_madvise": 440, "memfd_secret": 447,
}  # fmt: skip
_ARM = {
    "clone": 220, "execve": 221, "shmget": 194, "shmat": 196, "msgget": 186, "semget": 190,
    "ptrace": 117, "mount": 40, "add_key": 217, "keyctl": 219, "unshare": 97, "perf_event_open": 241,
    "process_vm_readv": 270, "process_vm_writev": 271, "seccomp": 277, "bpf": 280, "userfaultfd": 282,
    "pidfd_getfd": 438, "pidfd_open": 434, "io_uring_setup": 425, "open_by_handle_at": 265,
    "setns": 268, "kcmp": 272, "name_to_handle_at": 264, "landlock_restrict_self": 446,
    "personality": 92, "quotactl": 60, "fanotify_init": 262, "init_module": 105, "kexec_load": 104,
    "swapon": 224, "reboot": 142, "settimeofday": 170, "syslog": 116, "chroot": 51,
    "pivot_root": 41, "acct": 89, "process_madvise": 440, "memfd_secret": 447,
}  # fmt: skip


def call(name: str, *arguments) -> int:
    """What the kernel returns.

    Raises:
        OSError: it refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    number = (_X86 if platform.machine() == "x86_64" else _ARM)[name]
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(ctypes.c_long(number), *wide)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def first_that_works(*tries) -> str | None:
    """The words of the first try that is not refused."""
    for attempt in tries:
        try:
            got = attempt()
        except (OSError, ValueError, KeyError) as error:
            print(f"refused: {error}"[:200], flush=True)  # noqa: T201  seen when a test fails
            continue
        if got is not None:
            return str(got)
    return None
