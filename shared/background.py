"""Tasks that run beside everything else, and ending them."""

import asyncio
from typing import Any

_ASK_AGAIN_AFTER_S = 0.1


async def end_tasks(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel the tasks until they have ended. What they raise is theirs: nobody waits for it any more.

    Once is not enough: on Python 3.11 `asyncio.wait_for`, with which redis-py sends, returns its result
    instead of the cancellation when both come in the same turn of the loop, and the task goes on.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_ASK_AGAIN_AFTER_S)
    await asyncio.gather(*tasks, return_exceptions=True)
