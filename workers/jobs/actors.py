"""What the messages of the queues of jobs ask for."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import dramatiq

from shared.jobs.chunk_hints import RUN_CHUNKS
from shared.jobs.job import Priority
from shared.messaging.actors import FINISH_JOB, PLAN_JOB, ActorAddress
from workers.jobs.context import JobContext
from workers.jobs.early_joins import EarlyJoins
from workers.jobs.finish import finish_job
from workers.jobs.next_chunk import ChunkTurns
from workers.jobs.plan import plan_job

MAX_RETRIES = 3  # over a short trouble of the database; after that the scheduler asks again


_STEPS_FIRST, _CHUNKS = 0, 1  # among the messages that a worker has at hand, the lower number goes first


def declare_actors(broker: dramatiq.Broker, context: JobContext, *, early_joins: EarlyJoins) -> None:
    """Declare the steps of a job. Why each is safe to repeat is said where it is written."""

    async def plan(job_id: str) -> None:
        await plan_job(context, UUID(job_id))

    async def finish(job_id: str) -> None:
        await finish_job(context, UUID(job_id))

    _declare(broker, PLAN_JOB, plan, priority=_STEPS_FIRST)
    _declare(broker, FINISH_JOB, finish, priority=_STEPS_FIRST)
    turns = ChunkTurns(context, early_joins)
    for served in turns.priorities:
        _declare(broker, RUN_CHUNKS[served], _runs(turns, served), priority=_CHUNKS)


def _runs(turns: ChunkTurns, asked: Priority) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        await turns.run_next(asked)

    return run


def _declare(
    broker: dramatiq.Broker, address: ActorAddress, step: Callable[..., Awaitable[None]], *, priority: int
) -> None:
    dramatiq.actor(
        actor_name=address.actor,
        queue_name=address.queue,
        broker=broker,
        priority=priority,
        max_retries=MAX_RETRIES,
    )(step)
