"""Doors of the kernel that no model needs, and through which others have come before."""

import ctypes
import mmap
import os

from tests.attacks.deeds.syscalls import call, first_that_works


def io_uring(planted):
    return f"ring {call('io_uring_setup', 1, ctypes.create_string_buffer(256))}"


def userfaultfd(planted):
    return f"descriptor {call('userfaultfd', 1)}"


def keyring(planted):
    def add():
        key = call(
            "add_key", ctypes.c_char_p(b"user"), ctypes.c_char_p(b"pwned"), ctypes.c_char_p(b"x"), 1, -3
        )
        return f"key {key}"

    return first_that_works(add, lambda: f"keyring {call('keyctl', 0, -3, 1)}")


def bpf(planted):
    """A map of one element."""
    attributes = (ctypes.c_uint32 * 32)(2, 4, 4, 1)
    return f"map {call('bpf', 0, attributes, 128)}"


def perf_events(planted):
    event = (ctypes.c_uint32 * 32)(1, 112)
    return f"counter {call('perf_event_open', event, 0, -1, -1, 0)}"


def another_filter(planted):
    """A filter with a listener would let it answer its own system calls."""
    return f"action {call('seccomp', 2, 0, ctypes.byref(ctypes.c_uint32(0x7FC00000)))}"


def file_handles(planted):
    """Open files by handle, past every path."""
    handle = (ctypes.c_uint32 * 64)(128)
    mount = ctypes.c_int()
    call("name_to_handle_at", -100, ctypes.c_char_p(b"/"), handle, ctypes.byref(mount), 0)
    return f"descriptor {call('open_by_handle_at', 3, handle, os.O_RDONLY)}"


def personality(planted):
    """No more random addresses, in this process and its children."""
    return f"was {call('personality', 0x0040000)}"


def administration(planted):
    """What only the administrator may; with arguments that change nothing even so."""
    nothing = ctypes.c_char_p(b"/nothing")
    calls = {
        "swapon": (nothing, 0),
        "acct": (nothing,),
        "init_module": (nothing, 0, nothing),
        "fanotify_init": (0, 0),
        "syslog": (10, 0, 0),
        "quotactl": (0, 0, 0, 0),
        "pivot_root": (nothing, nothing),
    }

    def allowed(name, arguments):
        def attempt():
            return f"{name}: {call(name, *arguments)}"

        return attempt

    return first_that_works(*(allowed(*item) for item in calls.items()))


def executable_memory(planted):
    """Machine code of its own; not a breach by itself, but it must reach no further than Python does."""
    code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
    # getuid, then return: mov eax, 102; syscall; ret. A call that x32 or i386 would number otherwise:
    # mov eax, 0x40000066 asks for the same by the x32 table, which a filter for one table alone lets by.
    code.write(b"\xb8\x66\x00\x00\x40\x0f\x05\xc3")
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    result = ctypes.CFUNCTYPE(ctypes.c_long)(address)()
    return f"an x32 call answered {result}" if result >= 0 else None


def old_system_calls(planted):
    """execve by the table of 32-bit programs (int 0x80), which a filter for 64-bit numbers would not see.

    Getpid there is 20, and 20 is writev here.
    """
    code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
    code.write(b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b\xc3")  # push rbx; mov eax, 20; int 0x80; pop rbx; ret
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    result = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    return f"a 32-bit call answered {result}" if result > 0 else None
