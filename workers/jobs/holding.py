"""Does long work while holding a claim on it: the lease is renewed until the work ends or is lost."""

import asyncio
import io
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

from shared.storage.object_files import StoredFile

T = TypeVar("T")

log = structlog.get_logger()

RENEW_S = 0.5  # so that a cancelled job stops within a second; well below any lease
PRESS_S = 0.25  # what work has to end by itself, once it is asked to


class Stopped(Exception):
    """The work was given up: its claim was lost, the job has ended, or the worker is stopping."""


class StopSign:
    """Tells work in a thread to end, and presses for it if it does not."""

    def __init__(self) -> None:
        self._shown = threading.Event()
        self.press: Callable[[], None] = lambda: None  # ends what the work may be waiting for

    def show(self) -> None:
        """Ask for an end; the second time, press for it."""
        if self._shown.is_set():
            self.press()
        self._shown.set()

    def check(self) -> None:
        """Go on, or not.

        Raises:
            Stopped: the sign is shown.
        """
        if self._shown.is_set():
            raise Stopped

    @property
    def is_shown(self) -> bool:
        """Whether the work shall end."""
        return self._shown.is_set()


class StoppableFile(io.RawIOBase):
    """A file that cannot be read any further once the sign is shown: so every loop over it ends."""

    def __init__(self, file: StoredFile, sign: StopSign) -> None:
        self._file, self._sign = file, sign

    @property
    def piece_bytes(self) -> int:
        """How many are best copied at a time."""
        return self._file.piece_bytes

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position from the start, in bytes."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move as files do."""
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes.

        Raises:
            Stopped: the sign is shown.
        """
        self._sign.check()
        return self._file.read(size) or b""

    def close(self) -> None:
        """Close the file itself too."""
        self._file.close()
        super().close()


async def hold(
    work: Coroutine[Any, Any, T],
    *,
    renew: Callable[[], Awaitable[bool]],
    sign: StopSign,
    is_stopping: Callable[[], bool],
) -> T:
    """The result of the work, during which `renew` is called every RENEW_S.

    Raises:
        Stopped: `renew` said that the claim is lost, or the worker is stopping, before the work was done.
    """
    task = asyncio.create_task(work)
    while not (await asyncio.wait({task}, timeout=PRESS_S if sign.is_shown else RENEW_S))[0]:
        if sign.is_shown or is_stopping() or not await _renewed(renew):
            sign.show()
    try:
        return task.result()
    except Exception as error:
        # What was pressed to end fails in ways of its own.
        if sign.is_shown:
            raise Stopped from error
        raise


async def _renewed(renew: Callable[[], Awaitable[bool]]) -> bool:
    """Whether the claim still holds. Without a database nobody can tell; publication is guarded anyway."""
    try:
        return await renew()
    except (DBAPIError, OSError) as error:
        log.warning("lease_not_renewed", error=type(error).__name__)
        return True
