"""What the messages of the queue `jobs` ask for."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import dramatiq

from shared.messaging.actors import FINISH_JOB, PLAN_JOB, RUN_CHUNK, ActorAddress
from workers.jobs.context import JobContext
from workers.jobs.finish import finish_job
from workers.jobs.plan import plan_job
from workers.jobs.run_chunk import run_chunk

MAX_RETRIES = 3  # over a short trouble of the database; after that the scheduler asks again


def declare_actors(broker: dramatiq.Broker, context: JobContext) -> None:
    """Declare the three steps of a job. Why each is safe to repeat is said where it is written."""

    async def plan(job_id: str) -> None:
        await plan_job(context, UUID(job_id))

    async def run(job_id: str, index: int) -> None:
        await run_chunk(context, UUID(job_id), index)

    async def finish(job_id: str) -> None:
        await finish_job(context, UUID(job_id))

    steps: dict[ActorAddress, Callable[..., Awaitable[None]]] = {
        PLAN_JOB: plan,
        RUN_CHUNK: run,
        FINISH_JOB: finish,
    }
    for address, step in steps.items():
        dramatiq.actor(
            actor_name=address.actor, queue_name=address.queue, broker=broker, max_retries=MAX_RETRIES
        )(step)
