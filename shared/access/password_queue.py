"""Passwords that wait to be hashed, in two rooms: one for anybody, one for whom a flood cannot be."""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from shared.access.waiting_room import Waiting, WaitingRoom
from shared.errors import Unavailable

T = TypeVar("T")

# Two at a time: logging in must not take every core from predictions, nor the threads that others need.
_THREADS: Final = 2
_NICENESS: Final = 10  # where a core is wanted by both, the event loop has it nine times out of ten

# Of one process, with those under way four seconds' worth. Whoever would wait longer is told so.
SEATS: Final = 28
RESERVED: Final = 10
MOST_AT_ONCE: Final = SEATS + RESERVED + _THREADS
_COME_BACK_S: Final = 5


class PasswordsBusy(Unavailable):
    """As many passwords are being checked as one process takes on."""

    code = "passwords_busy"


class PasswordQueue:
    """Does what takes long in threads of its own, and takes no more on than can be done soon.

    The two rooms are called by turns, so that neither waits for the other to be empty.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(
            _THREADS, thread_name_prefix="passwords", initializer=_give_way_to_others
        )
        self._anybody, self._reserve = WaitingRoom(SEATS), WaitingRoom(RESERVED)
        self._running, self._called_reserve, self._is_closed = 0, False, False

    def has_room(self, address: str, *, reserved: bool) -> bool:
        """Whether somebody from there would be taken on.

        Args:
            reserved: they have what a flood cannot have in numbers, and a seat in either room.
        """
        return self._room_for(address, reserved=reserved) is not None

    async def do(self, work: Callable[[], T], address: str, *, reserved: bool) -> T:
        """Have it done in a thread, in its turn.

        Raises:
            PasswordsBusy: there is no room, or it was given to somebody whose network has none.
        """
        room = self._room_for(address, reserved=reserved)
        if room is None:
            raise passwords_busy()
        waiting, gone = room.enter(address, work)
        if gone is not None and not gone.answer.done():
            gone.answer.set_exception(passwords_busy())
        self._begin()
        try:
            done: T = await waiting.answer
        finally:
            room.leave(waiting)
        return done

    def close(self) -> None:
        """End the threads."""
        self._is_closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _room_for(self, address: str, *, reserved: bool) -> WaitingRoom | None:
        rooms = (self._reserve, self._anybody) if reserved else (self._anybody,)
        free = (room for room in rooms if not room.is_full)
        return next(free, None) or next((room for room in rooms if room.admits(address)), None)

    def _begin(self) -> None:
        while not self._is_closed and self._running < _THREADS and (waiting := self._call()) is not None:
            if not waiting.answer.done():  # or whoever asked has left
                self._running += 1
                self._run(waiting)

    def _run(self, waiting: Waiting) -> None:
        loop = asyncio.get_running_loop()

        def tell(done: "Future[Any]") -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before the thread
                loop.call_soon_threadsafe(self._finish, waiting, done)

        self._threads.submit(waiting.work).add_done_callback(tell)

    def _finish(self, waiting: Waiting, done: "Future[Any]") -> None:
        self._running -= 1
        if not waiting.answer.done():
            _copy(done, waiting.answer)
        self._begin()

    def _call(self) -> Waiting | None:
        reserve, anybody = self._reserve, self._anybody
        for room in (anybody, reserve) if self._called_reserve else (reserve, anybody):
            if (waiting := room.call()) is not None:
                self._called_reserve = room is reserve
                return waiting
        return None


def passwords_busy() -> PasswordsBusy:
    """What whoever finds no room is told."""
    return PasswordsBusy(
        "too many passwords are being checked now: try again in a few seconds; who is logged in, or"
        " has an API key, goes on as before",
        retry_after_s=_COME_BACK_S,
    )


def _copy(done: "Future[Any]", answer: "asyncio.Future[Any]") -> None:
    if done.cancelled():
        answer.cancel()
    elif error := done.exception():
        answer.set_exception(error)
    else:
        answer.set_result(done.result())


def _give_way_to_others() -> None:
    """Linux has a niceness for each thread; elsewhere it would be that of the whole process."""
    if sys.platform == "linux":
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + _NICENESS)
