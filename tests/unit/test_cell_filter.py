"""What the filter of system calls says of a call, asked by running it as the kernel does."""

import ctypes
import errno
import os
import struct

import pytest

from workers.host.cell import bpf, rules, system_calls
from workers.host.cell.rules import OWN_PID

PASSES, ENDS = bpf.ALLOW, bpf.KILL
EPERM, EACCES, ENOSYS, ENOTTY = (
    bpf.errno(number) for number in (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTTY)
)
MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS, MAP_HUGETLB = 1, 2, 0x20, 0x40000
PTHREAD = 0x3D0F00  # the flags of glibc's pthread_create


def answer(program: bytes, data: bytes) -> int:
    """Run the program over `struct seccomp_data` (linux/seccomp.h), by the rules of linux/filter.h."""
    steps = list(struct.iter_unpack("<HBBI", program))
    at = accumulator = 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, value)[0]
            case 0x54:
                accumulator &= value
            case 0x15:
                at += yes if accumulator == value else no
            case 0x35:
                at += yes if accumulator >= value else no
            case 0x06:
                return value
            case _:
                raise AssertionError(code)


def says(call: str, *arguments: int, on: str = "x86_64", files: bool = True, scratch: bool = False) -> int:
    number = system_calls.numbers(on)[call]
    words = [word & 0xFFFF_FFFF_FFFF_FFFF for word in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<iIQ6Q", number, system_calls.architecture(on), 0, *words)
    return answer(rules.program(files=files, scratch=scratch, on=on), data)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        ("read", PASSES),
        ("futex", PASSES),
        ("sendmsg", PASSES),
        ("exit_group", PASSES),
        ("socket", EPERM),
        ("connect", EPERM),
        ("execve", EPERM),
        ("memfd_create", EPERM),
        ("shmget", EPERM),
        ("clone3", ENOSYS),
        ("openat2", ENOSYS),
        ("ptrace", ENDS),
        ("bpf", ENDS),
        ("mount", ENDS),
        ("io_uring_setup", ENDS),
        ("unshare", ENDS),
    ],
)
def test_calls_pass_fail_or_end_the_host(machine, call, outcome):
    assert says(call, on=machine) == outcome


def test_threads_pass_and_processes_do_not():
    assert says("clone", PTHREAD) == PASSES
    assert says("clone", 17) == EPERM  # SIGCHLD: a fork
    assert says("clone", 0x4111) == EPERM  # a vfork: shares memory, but is no thread
    assert says("clone", PTHREAD | 0x1000_0000) == EPERM  # in a new user namespace
    assert says("fork") == EPERM


def test_memory_that_no_limit_counts_does_not_pass():
    assert says("mmap", 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS) == PASSES
    assert says("mmap", 0, 4096, 1, MAP_PRIVATE) == PASSES
    assert says("mmap", 0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS) == EPERM
    assert says("mmap", 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB) == EPERM


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, 0o20000000])
def test_files_are_opened_for_reading_only(flags):
    assert says("openat", -100, 1, os.O_RDONLY | os.O_CLOEXEC) == PASSES
    assert says("openat", -100, 1, flags) == EACCES
    assert says("openat", -100, 1, flags, scratch=True) == PASSES
    assert says("openat", -100, 1, os.O_RDONLY, files=False) == EPERM


def test_signals_reach_nobody_else():
    assert says("kill", OWN_PID, 9) == PASSES
    assert says("kill", 1, 9) == EPERM
    assert says("kill", -1, 9) == EPERM
    assert says("kill", 0, 9) == EPERM
    assert says("tgkill", 1, 1, 9) == EPERM


def test_limits_are_read_and_not_changed():
    assert says("prlimit64", 0, 7, 0, 1) == PASSES
    assert says("prlimit64", 0, 7, 0x7F00_0000_0000, 0) == EPERM  # whose lower half is zero
    assert says("prlimit64", 1, 7, 0, 1) == EPERM


def test_descriptors_cannot_ask_for_signals_or_seals():
    assert says("fcntl", 3, 3) == PASSES  # F_GETFL
    assert says("fcntl", 3, 8) == EPERM  # F_SETOWN
    assert says("fcntl", 3, 1033) == EPERM  # F_ADD_SEALS
    assert says("fcntl", 3, 1031) == EPERM  # F_SETPIPE_SZ
    assert says("ioctl", 1, 0x5401) == PASSES  # TCGETS
    assert says("ioctl", 1, 0x5412) == ENOTTY  # TIOCSTI


def test_the_calls_of_other_architectures_end_the_host():
    program = rules.program(files=True, scratch=False, on="x86_64")
    i386, x32_read = 0x4000_0003, 0x4000_0000

    assert answer(program, struct.pack("<iIQ6Q", 3, i386, 0, *[0] * 6)) == ENDS
    assert (
        answer(program, struct.pack("<iIQ6Q", x32_read, system_calls.architecture("x86_64"), 0, *[0] * 6))
        == ENDS
    )


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_numbers_are_those_of_libseccomp(machine):
    try:
        resolve = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name_arch
    except OSError:
        pytest.skip("libseccomp is not installed")
    resolve.argtypes, resolve.restype = [ctypes.c_uint32, ctypes.c_char_p], ctypes.c_int

    for call, number in system_calls.numbers(machine).items():
        assert resolve(system_calls.architecture(machine), call.encode()) == number, call
