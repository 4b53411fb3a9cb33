"""The Redis keys of the real-time path: what lives under each, who writes it, when it goes.

predict:{version_id}        stream   requests, packed by event-loop turn   api writes, workers delete;
                                     expires some minutes after the last worker let go of the version
predict:replies:{api_id}    list     packed replies for one API process    workers push, api pops;
                                     expires with REPLIES_TTL_S
predict:workers             zset     worker id -> last heartbeat, in Redis's own milliseconds
predict:worker-states       hash     worker id -> WorkerState
predict:wanted              zset     version ids that some API wants loaded, oldest first
predict:withdrawn           channel  packed Withdrawn: requests that nobody waits for; APIs to workers
predict:wanted-more         zset     versions whose workers are saturated -> Redis's own milliseconds;
                                     workers write, those with room that do not hold it take; a wish
                                     that is not repeated for 3 s is dropped by whoever looks next
predict:validations         zset     version ids that wait for their verdict, oldest first
"""

from uuid import UUID

GROUP = "workers"  # the consumer group of every request stream; a worker's consumer has its worker id
WORKERS = "predict:workers"
WORKER_STATES = "predict:worker-states"
WANTED = "predict:wanted"
WITHDRAWN_CHANNEL = "predict:withdrawn"
WANTED_MORE = "predict:wanted-more"

REPLIES_TTL_S = 60  # a list that nobody reads is a dead API's
ABANDONED_STREAM_TTL_S = 600


def request_stream(version_id: UUID) -> str:
    """The stream that requests for a version wait in."""
    return f"predict:{version_id}"


def reply_list(api_id: str) -> str:
    """The list that one API process reads its replies from."""
    return f"predict:replies:{api_id}"
