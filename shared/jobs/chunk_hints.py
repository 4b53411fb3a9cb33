"""Messages that chunks wait. None names a chunk: which one it is for, is decided when a worker takes it.

A job sends one for each of its chunks, but MOST_HINTS at a time: each chunk that is done sends the next, as
long as so many are left. So a queue holds about as many as workers can use, however many chunks wait.
"""

from collections.abc import Collection
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from shared.jobs.hints import Hint
from shared.jobs.job import Priority
from shared.jobs.turns import waiting_chunks
from shared.messaging.actors import RUN_HIGH, RUN_LOW, RUN_NORMAL, ActorAddress
from shared.settings import Settings

MOST_HINTS: Final = 100
_ON_THEIR_WAY_S: Final = 1.0  # that messages may take from the commit to their queue

RUN_CHUNKS: Final[dict[Priority, ActorAddress]] = {
    Priority.HIGH: RUN_HIGH,
    Priority.NORMAL: RUN_NORMAL,
    Priority.LOW: RUN_LOW,
}


def chunk_hints(priority: Priority, chunks: int) -> list[Hint]:
    """What to send for chunks that have become free."""
    return [(RUN_CHUNKS[priority], ())] * min(chunks, MOST_HINTS)


def hints_after_chunk(priority: Priority, unfinished: int) -> list[Hint]:
    """What to send for a chunk that is done, whose job has so many left: messages for the others are sent."""
    return chunk_hints(priority, 1) if unfinished >= MOST_HINTS else []


async def missing_hints(
    session: AsyncSession, silent: Collection[Priority], *, settings: Settings
) -> list[Hint]:
    """What to send for chunks that wait though nothing says so.

    Args:
        silent: priorities whose queues are empty.
    """
    hints: list[Hint] = []
    for priority in silent:
        waiting = await waiting_chunks(
            session, priority, most=MOST_HINTS, since_s=_ON_THEIR_WAY_S, settings=settings
        )
        hints += chunk_hints(priority, waiting)
    return hints
