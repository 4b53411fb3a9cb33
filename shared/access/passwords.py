"""Passwords: hashed with bcrypt, in threads of their own, because one hash takes a fifth of a second."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

T = TypeVar("T")

ROUNDS = 12  # 2**12 iterations
MAX_BYTES = 72  # bcrypt takes no more into account, and refuses longer ones

# Two at a time: logging in must not take every core from predictions, nor the threads that others need.
_THREADS = 2

# Of bytes that nobody knows, with as many rounds as real ones: compared with where there is no account.
_NOBODY = "$2b$12$6RyjIqnKM0KEmj.dMD516ODQT2T/PRSH1X0BCtGlILftwdDdKv7b2"


class PasswordHasher:
    """Hashes and compares without stopping the event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")

    async def hash(self, password: str) -> str:
        """What is stored in place of the password, which has at most MAX_BYTES in UTF-8."""
        return await self._in_thread(
            lambda: bcrypt.hashpw(password.encode(), bcrypt.gensalt(ROUNDS)).decode()
        )

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether the password is the one that was stored. Takes as long when none was.

        Args:
            stored: None: there is no such account; no hash of bcrypt: it is not entered by a password.
        """
        usable = stored if stored is not None and stored.startswith("$2") else None
        given, expected = password.encode(), (usable or _NOBODY).encode()
        same = await self._in_thread(lambda: bcrypt.checkpw(given[:MAX_BYTES], expected))
        return same and usable is not None and len(given) <= MAX_BYTES

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
