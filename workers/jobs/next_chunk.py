"""What a worker does when a message says that chunks wait: it runs the one whose turn it is."""

from itertools import count

from shared.jobs.chunk_hints import chunk_hints
from shared.jobs.hints import send_hints
from shared.jobs.job import Priority
from shared.jobs.turns import Turn, in_turn, next_of_tenant, take_turn
from shared.settings import Settings
from workers.jobs.context import JobContext
from workers.jobs.early_joins import EarlyJoins
from workers.jobs.run_chunk import run_claimed

MOST_TRIES = 20  # to get a chunk while other workers are faster; then the scheduler asks again


def served_priorities(settings: Settings) -> list[Priority]:
    """Those whose chunks this worker runs, the most urgent first."""
    named = settings.job_queues.split(",")
    return [priority for priority in Priority if priority in named]


class ChunkTurns:
    """The turns of one worker process.

    Attributes:
        priorities: whose chunks it runs.
    """

    def __init__(self, context: JobContext, early_joins: EarlyJoins) -> None:
        self._context, self._early_joins = context, early_joins
        self._turns = count()
        self.priorities = served_priorities(context.settings)

    async def run_next(self, asked: Priority) -> None:
        """Predict the chunk whose turn it is, if one waits. Args: asked: the priority of the message."""
        turn = await self._take()
        if turn is None or turn.claim is None:
            return
        if turn.priority is not asked:  # what was meant still waits, maybe for a worker of that alone
            await send_hints(self._context.messenger, chunk_hints(asked, 1))
        if await run_claimed(self._context, turn.claim):
            self._early_joins.tell(turn.job_id)
        if self._context.settings.job_chunks_per_tenant:
            await self._tell_of_room(turn)

    async def _take(self) -> Turn | None:
        """The turn, with a claim; None where nothing waits: others may have been faster than the message."""
        order = in_turn(self.priorities, next(self._turns))
        for _ in range(MOST_TRIES):
            async with self._context.database.transaction() as session:
                turn = await take_turn(session, order, settings=self._context.settings)
            if turn is None:
                return None
            await self._context.news.announce(turn.job_id)
            if turn.claim is not None:
                return turn
        return None

    async def _tell_of_room(self, turn: Turn) -> None:
        """Messages for a tenant at its cap went by unused: what waited for this end needs another."""
        async with self._context.database.transaction() as session:
            waits = await next_of_tenant(session, turn.tenant_id, settings=self._context.settings)
        if waits is not None:
            await send_hints(self._context.messenger, chunk_hints(waits, 1))
