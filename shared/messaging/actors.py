"""The addresses of every Dramatiq actor, so that the side that sends and the side that works agree.

A mistyped actor name is dead-lettered, not refused: names stand here and nowhere else.
"""

import msgspec


class ActorAddress(msgspec.Struct, frozen=True):
    """An actor's name and the queue that it is read from."""

    actor: str
    queue: str


JOBS_QUEUE = "jobs"
WEBHOOKS_QUEUE = "webhooks"

PLAN_JOB = ActorAddress("plan_job", JOBS_QUEUE)  # (job_id)
RUN_CHUNK = ActorAddress("run_chunk", JOBS_QUEUE)  # (job_id, index)
FINISH_JOB = ActorAddress("finish_job", JOBS_QUEUE)  # (job_id)
DELIVER = ActorAddress("deliver", WEBHOOKS_QUEUE)  # (delivery_id)
