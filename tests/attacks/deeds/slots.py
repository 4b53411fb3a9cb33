"""Spoils the memory that it shares with the worker: two files without a name, descriptors 4 and 5."""

import contextlib
import ctypes
import fcntl
import mmap
import os
import threading
import time

from tests.attacks.deeds.frames import arrays


def seal_the_slots(planted):
    """Then the worker can make them neither larger nor write to them."""
    done = []
    for slot in (4, 5):
        with contextlib.suppress(OSError):
            fcntl.fcntl(slot, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
            done.append(slot)
        with contextlib.suppress(OSError):
            fcntl.fcntl(slot, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    return f"slots {done} are sealed" if done else None


def shrink_the_slots(planted):
    """Whoever reads past the end of a file in memory dies by it."""
    with contextlib.suppress(OSError):
        os.ftruncate(4, 0)
        os.ftruncate(5, 0)
        return "the slots are empty"


def grow_the_slots(planted):
    with contextlib.suppress(OSError):
        for slot in (4, 5):
            os.ftruncate(slot, 1 << 40)
        return "the slots are a terabyte"


def punch_holes(planted):
    """Take pages away from under whoever reads them."""
    for slot in (4, 5):
        with contextlib.suppress(OSError):
            os.posix_fallocate(slot, 0, 1 << 20)
    libc = ctypes.CDLL(None)
    for slot in (4, 5):
        libc.fallocate(slot, 3, ctypes.c_long(0), ctypes.c_long(1 << 40))


def change_what_is_read(planted):
    """Write to both slots all the time, while the worker checks what is there."""
    areas = [mmap.mmap(slot, os.fstat(slot).st_size) for slot in (4, 5) if os.fstat(slot).st_size]

    def scribble():
        end = time.monotonic() + 2
        while time.monotonic() < end:
            for area in areas:
                area[:4096] = os.urandom(4096)

    threading.Thread(target=scribble, daemon=True).start()


def answer_past_its_room(planted):
    arrays([["label", "<f8", [8192], True, 1 << 20]])


def answer_before_its_room(planted):
    """There lie the rows that were asked for."""
    arrays([["label", "<f8", [8192], True, -(1 << 17)]])
