"""The addresses of every Dramatiq actor, so that the side that sends and the side that works agree.

A mistyped actor name is dead-lettered, not refused: names stand here and nowhere else.
"""

import msgspec


class ActorAddress(msgspec.Struct, frozen=True):
    """An actor's name and the queue that it is read from."""

    actor: str
    queue: str


JOBS_QUEUE = "jobs"  # planning and finishing, which every batch worker does before chunks
HIGH_QUEUE = "jobs.high"  # chunks of jobs by their priority
NORMAL_QUEUE = "jobs.normal"
LOW_QUEUE = "jobs.low"
WEBHOOKS_QUEUE = "webhooks"

PLAN_JOB = ActorAddress("plan_job", JOBS_QUEUE)  # (job_id)
FINISH_JOB = ActorAddress("finish_job", JOBS_QUEUE)  # (job_id)
RUN_HIGH = ActorAddress("run_high", HIGH_QUEUE)  # (): some chunk waits; whose turn it is, PostgreSQL knows
RUN_NORMAL = ActorAddress("run_normal", NORMAL_QUEUE)  # ()
RUN_LOW = ActorAddress("run_low", LOW_QUEUE)  # ()
DELIVER = ActorAddress("deliver", WEBHOOKS_QUEUE)  # (delivery_id)
