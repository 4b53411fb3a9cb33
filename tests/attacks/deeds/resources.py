"""Takes more than its share. Each stops by itself at a size that the machine bears."""

import contextlib
import ctypes
import fcntl
import mmap
import os
import resource
import tempfile
import threading
import time

MIB = 1024 * 1024
MOST_THREADS, MOST_FORKS, MOST_FILES = 2000, 200, 4096
PIECE = 64 * MIB


def heap(planted):
    """Ordinary memory, touched."""
    return _taken(planted, lambda: bytearray(b"x" * PIECE))


def many_small_objects(planted):
    """Pieces that malloc takes from its arenas."""
    return _taken(planted, lambda: [bytes(1000) for _ in range(PIECE // 1024)])


def private_maps(planted):
    return _taken(planted, lambda: _touched(mmap.mmap(-1, PIECE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)))


def shared_maps(planted):
    """Anonymous and shared: not counted as data of the process."""
    return _taken(planted, lambda: _touched(mmap.mmap(-1, PIECE, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)))


def memory_files(planted):
    """A file without a name holds memory that belongs to no process."""
    descriptor = os.memfd_create("hog")
    return _taken(planted, lambda: os.write(descriptor, bytes(PIECE)) == PIECE or _refuse())


def shared_slots(planted):
    """The memory that it shares with the worker is a file without a name, too."""

    def grow():
        size = os.fstat(4).st_size
        os.ftruncate(4, size + PIECE)
        return os.pwrite(4, bytes(PIECE), size) == PIECE or _refuse()

    return _taken(planted, grow)


def huge_pages(planted):
    size = 64 * MIB
    area = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
    return f"{len(area)} bytes of huge pages" if _touched(area) else None


def locked_memory(planted):
    """Memory that the kernel may not move out."""
    libc = ctypes.CDLL(None, use_errno=True)
    area = ctypes.create_string_buffer(PIECE)
    if libc.mlock(area, PIECE) == -1:
        raise OSError(ctypes.get_errno(), "mlock")
    return f"{PIECE} bytes are locked"


def pipes(planted):
    """The kernel's own memory: what is in a pipe belongs to nobody."""
    taken = 0
    with contextlib.suppress(OSError):
        while taken < 256 * MIB:
            _, writer = os.pipe()
            os.set_blocking(writer, False)
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, MIB)
            taken += os.write(writer, bytes(MIB))
    return f"{taken} bytes in pipes" if taken > 64 * MIB else None


def descriptors(planted):
    held = []
    with contextlib.suppress(OSError):
        while len(held) < MOST_FILES:
            held.append(os.dup(1))
    for descriptor in held:
        os.close(descriptor)
    return f"{len(held)} files are open" if len(held) > 1024 else None


def limits_of_its_own(planted):
    """Raise those that it was given."""
    names = ("RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_NPROC")
    raised = []
    for name in names:
        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        if hard == resource.RLIM_INFINITY:
            continue
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(which, (hard + 1, hard + 1))
            raised.append(name)
    return ", ".join(raised) or None


def forks(planted):
    """Stops at a few hundred, which wait and then end by themselves."""
    count = 0
    with contextlib.suppress(OSError):
        while count < MOST_FORKS:
            if os.fork() == 0:
                time.sleep(20)
                os._exit(0)
            count += 1
    return f"{count} processes" if count else None


def threads(planted):
    started = threading.Event()
    count = 0
    threading.stack_size(64 * 1024)
    with contextlib.suppress(RuntimeError, MemoryError):
        while count < MOST_THREADS:
            threading.Thread(target=started.wait, args=(20,), daemon=True).start()
            count += 1
    started.set()
    return f"{count} threads" if count > planted.most_threads else None


def disk(planted):
    """Stops at 64 MiB, in a file that goes with it. Its own folder is another matter."""
    for folder in ("/tmp", "/dev/shm", planted.folder, "/var/tmp"):
        with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(64):
                file.write(bytes(MIB))
            file.flush()
            return f"{os.fstat(file.fileno()).st_size} bytes on disk"
    return None


def _taken(planted, one) -> str | None:
    """Take pieces until that is refused; a breach where it is more than a host may have."""
    held = []
    with contextlib.suppress(MemoryError, OSError, RuntimeError):
        while len(held) * PIECE < planted.most_bytes + 4 * PIECE:
            held.append(one())
    print("pieces taken:", len(held), flush=True)  # noqa: T201  seen when a test fails
    return f"{len(held) * PIECE // MIB} MiB" if len(held) * PIECE > planted.most_bytes else None


def _touched(area: mmap.mmap) -> mmap.mmap:
    for at in range(0, len(area), mmap.PAGESIZE):
        area[at] = 1
    return area


def _refuse():
    raise MemoryError
