"""Passwords: hashed with bcrypt, in threads of their own, because one hash takes a fifth of a second."""

import asyncio
import base64
import hashlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import bcrypt

from shared.errors import Unavailable

T = TypeVar("T")

ROUNDS = 12  # 2**12 iterations
_BCRYPT_BYTES = 72  # it takes no more into account, and refuses longer ones

# Two at a time: logging in must not take every core from predictions, nor the threads that others need.
_THREADS = 2
_NICENESS = 10  # where a core is wanted by both, the event loop has it nine times out of ten

# Of one process, those under way among them: four seconds' worth. Whoever would wait longer is told so.
MOST_AT_ONCE: Final = 40
_COME_BACK_S = 5

# Of bytes that nobody knows, with as many rounds as real ones: compared with where there is no account.
_NOBODY = "$2b$12$6RyjIqnKM0KEmj.dMD516ODQT2T/PRSH1X0BCtGlILftwdDdKv7b2"


class PasswordsBusy(Unavailable):
    """As many passwords are being checked as one process takes on."""

    code = "passwords_busy"


class PasswordHasher:
    """Hashes and compares without stopping the event loop, and no more at once than can be done soon."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(
            _THREADS, thread_name_prefix="passwords", initializer=_give_way_to_others
        )
        self._taken_on = 0

    async def hash(self, password: str) -> str:
        """What is stored in place of the password, of any length.

        Raises:
            PasswordsBusy: too many wait already.
        """
        return await self._in_thread(
            lambda: bcrypt.hashpw(_fitting(password), bcrypt.gensalt(ROUNDS)).decode()
        )

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether the password is the one that was stored. Takes as long when none was.

        Args:
            stored: None: there is no such account; no hash of bcrypt: it is not entered by a password.

        Raises:
            PasswordsBusy: too many wait already.
        """
        usable = stored if stored is not None and stored.startswith("$2") else None
        given, expected = _fitting(password), (usable or _NOBODY).encode()
        same = await self._in_thread(lambda: bcrypt.checkpw(given, expected))
        return same and usable is not None

    def check_room(self) -> None:
        """Tell whoever would be refused at once, before anything is looked up for them.

        Raises:
            PasswordsBusy: too many wait already.
        """
        if self._taken_on >= MOST_AT_ONCE:
            raise PasswordsBusy(
                "too many passwords are being checked now: try again in a few seconds; who is logged in, or"
                " has an API key, goes on as before",
                retry_after_s=_COME_BACK_S,
            )

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        self.check_room()
        self._taken_on += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._taken_on -= 1


def _give_way_to_others() -> None:
    """Linux has a niceness for each thread; elsewhere it would be that of the whole process."""
    if sys.platform == "linux":
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + _NICENESS)


def _fitting(password: str) -> bytes:
    """What bcrypt takes into account: the password, or of a longer one its SHA-384.

    A phrase of 64 characters may have 256 bytes. Source: NIST SP 800-63B-4, section 3.1.1.2: phrases of so
    many characters are accepted, and every one of them counts.
    """
    spelled = password.encode()
    if len(spelled) <= _BCRYPT_BYTES:
        return spelled
    return base64.b64encode(hashlib.sha384(b"modelyard password" + spelled).digest())
