"""Runs the platform until it is asked to stop: once for an orderly end, twice for an end at once."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

from deploy.local.stack import Stack

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def launch(folder: Path) -> None:
    """Run the platform, with its data in `folder`, until a signal asks for its end.

    Raises:
        OperatorError: it cannot start; what had started is stopped again.
    """
    stop, kill = asyncio.Event(), asyncio.Event()

    def count_request() -> None:
        (kill if stop.is_set() else stop).set()

    for number in _STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, count_request)
    stack = Stack(folder)
    try:
        if await _done_before(stop, stack.start()):
            await stop.wait()
    finally:
        if not await _done_before(kill, stack.stop()):
            await stack.kill()


async def _done_before(event: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Do the work unless the event comes first, which ends it; whether it was done."""
    working, waiting = asyncio.create_task(work), asyncio.create_task(event.wait())
    await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not working.done():
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        return False
    await working  # raises what went wrong
    return True
