"""Looks for what is not its own. Returns whatever it finds that begins like a secret."""

import ctypes
import os
import re
from pathlib import Path

import numpy as np

from tests.attacks.deeds.syscalls import call, first_that_works

SECRET = re.compile(rb"tenant.secret.[0-9a-f]{16}")  # this pattern is none itself
MOST_BYTES = 512 * 1024 * 1024


def environment(planted):
    return found_in(repr(dict(os.environ)).encode())


def environment_in_memory(planted):
    """As C has it, below what Python shows."""
    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    held = []
    while environ and environ[len(held)]:
        held.append(environ[len(held)])
    return found_in(b"\n".join(held))


def environments_by_proc(planted):
    """Of every process there is: it began with the worker's."""
    return first_that_works(*(lambda path=path: found_in(read(path)) for path in processes("environ")))


def command_lines(planted):
    return first_that_works(*(lambda path=path: found_in(read(path)) for path in processes("cmdline")))


def its_own_memory(planted):
    """What the fork left in it."""
    return memory_of("self")


def memory_of_the_parent(planted):
    return memory_of(os.getppid())


def memory_of_the_worker(planted):
    return memory_of(planted.supervisor)


def memory_of_another_model(planted):
    return memory_of(planted.control)


def memory_by_system_call(planted):
    """process_vm_readv needs no file."""

    def of(pid):
        def look():
            held = ctypes.create_string_buffer(8)
            place = (ctypes.c_void_p * 2)(ctypes.addressof(held), 8)
            call("process_vm_readv", pid, place, 1, place, 1, 0)
            return f"memory of {pid} can be read"

        return look

    return first_that_works(*map(of, (os.getppid(), planted.control, planted.supervisor, planted.victim)))


def shared_memory_of_others(planted):
    """Rows that are on their way to another model lie in a file without a name."""
    return first_that_works(
        *(lambda path=path: found_in(read(path)) for path in descriptors_of(planted.control)),
        *(lambda path=path: found_in(read(path)) for path in descriptors_of(planted.supervisor)),
    )


def a_file_of_the_worker(planted):
    return found_in(read(planted.secret_file))


def a_file_for_everybody(planted):
    return found_in(read(planted.public_file))


def a_file_through_numpy(planted):
    """A way that asks no `open` of Python."""
    return found_in(np.fromfile(planted.secret_file, np.uint8).tobytes())


def a_file_through_c(planted):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fopen.restype = ctypes.c_void_p
    held = ctypes.create_string_buffer(256)
    stream = libc.fopen(planted.secret_file.encode(), b"r")
    if not stream:
        raise OSError(ctypes.get_errno(), "fopen")
    libc.fread(held, 1, 255, ctypes.c_void_p(stream))
    return found_in(held.raw)


def another_model(planted):
    return found_in(read(planted.other_model))


def beside_its_own_file(planted):
    """Where its artifact lies, others do."""
    links = [os.readlink(f"/proc/self/fd/{number}") for number in open_descriptors()]
    folders = {Path(link).parent for link in [*links, planted.own_file] if link.startswith("/")}
    files = (path for folder in folders for path in folder.iterdir() if path.is_file())
    return first_that_works(*(lambda path=path: found_in(read(path)) for path in files))


def what_the_planted_folder_holds(planted):
    return first_that_works(
        lambda: os.listdir(planted.folder), lambda: os.listdir(Path(planted.folder).parent)
    )


def every_descriptor(planted):
    def whole(number):
        size = os.fstat(number).st_size
        return found_in(os.pread(number, min(size, MOST_BYTES), 0))

    return first_that_works(*(lambda number=number: whole(number) for number in open_descriptors()))


def the_parents_descriptors(planted):
    return first_that_works(
        *(lambda path=path: os.open(path, os.O_RDONLY) and path for path in descriptors_of(os.getppid()))
    )


def through_the_parents_root(planted):
    """A process's root and working folder are doors to the files that it sees."""
    doors = [f"/proc/{pid}/{door}" for pid in (os.getppid(), planted.supervisor) for door in ("root", "cwd")]
    return first_that_works(
        *(lambda door=door: found_in(read(door + planted.secret_file)) for door in doors),
    )


def where_the_platform_lies(planted):
    """Settings are often kept beside the program."""
    kept = [Path(planted.root) / name for name in (".env", "pyproject.toml", "shared/settings.py")]
    return first_that_works(*(lambda path=path: f"{path}: {read(path)[:40]!r}" for path in kept))


def names_of_the_machine(planted):
    """Accounts, keys and history of whoever runs the platform."""
    kept = (
        "/etc/shadow",
        "/etc/passwd",
        "/root/.bash_history",
        "/etc/hostname",
        "/proc/net/tcp",
        "/proc/mounts",
    )
    return first_that_works(*(lambda path=path: f"{path}: {read(path)[:40]!r}" for path in kept))


def system_v_memory(planted):
    """Shared memory that the worker made, as PostgreSQL does."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(planted.shared_memory, None, 0o10000)
    if address in (None, 2**64 - 1):
        raise OSError(ctypes.get_errno(), "shmat")
    return found_in(ctypes.string_at(address, 64))


def processes(name: str) -> list[str]:
    return [f"/proc/{pid}/{name}" for pid in os.listdir("/proc") if pid.isdecimal()]


def descriptors_of(pid) -> list[str]:
    try:
        return [f"/proc/{pid}/fd/{number}" for number in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return [f"/proc/{pid}/fd/{number}" for number in range(64)]


def open_descriptors() -> list[int]:
    def is_open(number):
        try:
            os.fstat(number)
        except OSError:
            return False
        return True

    return [number for number in range(1024) if is_open(number)]


def memory_of(pid) -> str | None:
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        areas = [line.split() for line in maps if "r" in line.split()[1] and "[v" not in line]
        return first_that_works(*(lambda area=area: found_in(_area(memory, area[0])) for area in areas))


def _area(memory, bounds: str) -> bytes:
    start, end = (int(bound, 16) for bound in bounds.split("-"))
    memory.seek(start)
    return memory.read(min(end - start, MOST_BYTES))


def read(path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(descriptor, 64 * 1024)
    finally:
        os.close(descriptor)


def found_in(content: bytes) -> str | None:
    match = SECRET.search(content)
    return match[0].decode() if match else None
