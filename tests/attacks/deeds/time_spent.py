"""Does not come to an end, or comes to a bad one."""

import contextlib
import ctypes
import os
import re
import signal
import socket
import sys
import threading
import time

LONG_S = 600


def sleep(planted):
    time.sleep(LONG_S)


def busy_loop(planted):
    while True:
        pass


def a_regular_expression(planted):
    """In C, holding Python's lock: no thread of its own process could stop it."""
    re.match(r"(a+)+$", "a" * 40 + "b")


def a_huge_power(planted):
    return len(str(9**9**9))


def deaf_to_signals(planted):
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    time.sleep(LONG_S)


def stop_itself(planted):
    """Neither alive nor dead."""
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(LONG_S)


def threads_that_hold_the_lock(planted):
    for _ in range(4):
        threading.Thread(target=busy_loop, args=(planted,), daemon=True).start()
    busy_loop(planted)


def exit_by_a_call(planted):
    os._exit(0)


def crash(planted):
    ctypes.string_at(0)


def abort(planted):
    os.abort()


def kill_itself(planted):
    os.kill(os.getpid(), signal.SIGKILL)


def overflow_the_stack(planted):
    """In C, where Python's limit does not hold."""
    sys.setrecursionlimit(10**9)

    class Endless:
        def __repr__(self):
            return repr(self)

    repr(Endless())


def close_every_descriptor(planted):
    os.closerange(0, 1024)
    time.sleep(LONG_S)


def shut_its_socket(planted):
    """Deaf and dumb, but alive."""
    socket.socket(fileno=os.dup(3)).shutdown(socket.SHUT_RDWR)
    time.sleep(LONG_S)


def work_on_after_the_answer(planted):
    """Burn the processor while nobody asks."""
    threading.Thread(target=busy_loop, args=(planted,), daemon=True).start()
