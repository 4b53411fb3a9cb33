"""Which system calls a host may make.

Whatever is not named fails with EPERM rather than by a signal: libraries try things and live without.
A few that no model library tries end the process, so that it is seen who did.
"""

import errno as e
import fcntl
import mmap
import os

from workers.host.cell import bpf
from workers.host.cell.bpf import KILL, Rule, Test
from workers.host.cell.system_calls import architecture, machine, numbers

OWN_PID = 0x5E1F_5E1F  # stands in a program for the process id of the host, until that is known

_PASSING = """
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range
fstat stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd
statfs fstatfs fsync fdatasync fadvise64 readahead
munmap mremap mprotect madvise brk mincore msync membarrier
futex futex_waitv set_robust_list get_robust_list set_tid_address rseq exit exit_group
sched_yield sched_getaffinity sched_getscheduler sched_getparam sched_get_priority_min
sched_get_priority_max getpriority restart_syscall getcpu
nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times getrusage
getitimer setitimer alarm
rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack rt_sigpending rt_sigtimedwait rt_sigsuspend pause
getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid getgroups getpgrp getpgid getsid
uname sysinfo getrlimit getrandom capget
poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
eventfd eventfd2 pipe pipe2 dup dup2 dup3
recvfrom recvmsg sendto sendmsg shutdown getsockopt getsockname getpeername
"""
_ENDING = """
ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp bpf perf_event_open userfaultfd
io_uring_setup io_uring_enter io_uring_register add_key request_key keyctl
mount umount2 pivot_root chroot setns unshare open_by_handle_at name_to_handle_at
move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr
init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff acct quotactl
settimeofday clock_settime adjtimex clock_adjtime sethostname setdomainname
iopl ioperm modify_ldt vhangup lookup_dcookie fanotify_init
"""
# What makes and moves files: for a scratch directory, behind Landlock. Own classes work in theirs.
_SCRATCH = "chdir mkdir mkdirat unlink unlinkat rmdir rename renameat renameat2 ftruncate"

_THREAD = 0x0001_0900  # CLONE_VM, CLONE_SIGHAND, CLONE_THREAD
_NAMESPACES = 0x7E02_0000  # CLONE_NEW…, none of which a thread needs
_HUGE_PAGES = 0x0004_0000  # MAP_HUGETLB, which RLIMIT_DATA does not count
_MAKES_FILE = os.O_CREAT | os.O_TRUNC | 0o20000000  # the last: O_TMPFILE without O_DIRECTORY
_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA = 15, 16, 0x5356_4D41
_TERMINAL = (0x5401, 0x5413)  # TCGETS, TIOCGWINSZ: is it one?
_DESCRIPTOR = (0x5421, 0x5450, 0x5451, 0x541B)  # FIONBIO, FIONCLEX, FIOCLEX, FIONREAD
_FCNTL = (
    fcntl.F_DUPFD,
    fcntl.F_GETFD,
    fcntl.F_SETFD,
    fcntl.F_GETFL,
    fcntl.F_SETFL,
    fcntl.F_DUPFD_CLOEXEC,
)  # none that asks for signals, seals a slot or widens a pipe

_PRIVATE = mmap.MAP_ANONYMOUS | mmap.MAP_SHARED

_SPECIAL: dict[str, tuple[tuple[Test, ...], int]] = {
    # Shared memory without a file would escape the limit of memory.
    "mmap": ((Test(3, _PRIVATE | _HUGE_PAGES, (0, mmap.MAP_ANONYMOUS, mmap.MAP_SHARED)),), e.EPERM),
    "clone": ((Test(0, _THREAD | _NAMESPACES, (_THREAD,)),), e.EPERM),  # threads; no processes
    "fcntl": ((Test(1, 0xFFFF_FFFF, _FCNTL),), e.EPERM),
    "ioctl": ((Test(1, 0xFFFF_FFFF, (*_TERMINAL, *_DESCRIPTOR)),), e.ENOTTY),
    "prctl": ((Test(0, 0xFFFF_FFFF, (_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA)),), e.EPERM),
    "prlimit64": ((Test(0, 0xFFFF_FFFF, (0, OWN_PID)), Test(2, 0xFFFF_FFFF, (0,), wide=True)), e.EPERM),
    "kill": ((Test(0, 0xFFFF_FFFF, (OWN_PID,)),), e.EPERM),
    "tgkill": ((Test(0, 0xFFFF_FFFF, (OWN_PID,)),), e.EPERM),
}
# What a filter cannot look into: the C library falls back to the older call, or lives without.
_ABSENT = ("clone3", "openat2", "flock", "memfd_secret")


def can_filter() -> bool:
    """Whether there are rules for this machine."""
    return architecture(machine()) is not None


def program(*, files: bool, scratch: bool, on: str | None = None) -> bytes:
    """The filter of a host, in which OWN_PID is to be replaced.

    Args:
        files: files may be opened for reading, since something else says which.
        scratch: and for writing, likewise.
        on: the machine; None for this one.
    """
    name = on or machine()
    known = numbers(name)
    rules = [
        *_opening(known, files=files, scratch=scratch),
        *(
            Rule(known[call], tests, bpf.errno(error))
            for call, (tests, error) in _SPECIAL.items()
            if call in known
        ),
        *(Rule(known[call]) for call in _named(_PASSING, known)),
        *(Rule(known[call]) for call in _named(_SCRATCH, known) if scratch),
        *(Rule(known[call], (), bpf.errno(e.ENOSYS), passes=False) for call in _ABSENT),
        *(Rule(known[call], (), KILL, passes=False) for call in _named(_ENDING, known)),
    ]
    target = architecture(name)
    if target is None:
        raise KeyError(name)
    return bpf.program(target, rules, default=bpf.errno(e.EPERM))


def _opening(known: dict[str, int], *, files: bool, scratch: bool) -> list[Rule]:
    if not files:
        return []
    unwritten = 0 if scratch else os.O_ACCMODE | _MAKES_FILE
    flags_at = {"openat": 2, "open": 1}
    return [
        Rule(known[call], (Test(at, unwritten, (0,)),), bpf.errno(e.EACCES))
        for call, at in flags_at.items()
        if call in known
    ]


def _named(names: str, known: dict[str, int]) -> list[str]:
    return [name for name in names.split() if name in known]
