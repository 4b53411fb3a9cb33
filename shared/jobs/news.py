"""What processes tell each other about jobs over Redis, so that whoever follows one hears of it at once.

Redis keys:

    jobs    pub/sub channel: the id of a job whose state or rows have changed. Published by batch workers and
            the API after their commit, heard by both.

All of it is only a hint: PostgreSQL knows, and whoever waits looks there too.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.ids import parse_id
from shared.messaging.subscriber import Subscriber

log = structlog.get_logger()

JOBS_CHANNEL = "jobs"


class JobNews:
    """Tells of jobs, and wakes those who wait for one. Messages can be lost: they only shorten waits."""

    def __init__(self, redis: Redis) -> None:
        """Prepare to tell; to hear, `start`."""
        self._redis = redis
        self._subscriber = Subscriber(redis, JOBS_CHANNEL, hear=self._tell, catch_up=self._tell_all)
        self._watched: dict[UUID, set[asyncio.Event]] = {}
        self.ended = False  # the process is about to stop: nobody shall wait any more

    def start(self) -> None:
        """Begin to listen."""
        self._subscriber.start()

    async def close(self) -> None:
        """Stop listening."""
        await self._subscriber.close()

    def end_waits(self) -> None:
        """Wake all who wait, for good."""
        self.ended = True
        self._tell_all()

    async def announce(self, job_id: UUID) -> None:
        """Tell every process that the job has changed. Only after the commit."""
        try:
            await self._redis.publish(JOBS_CHANNEL, str(job_id))
        except (RedisError, OSError) as error:
            log.warning("job_not_announced", error=str(error))

    @contextmanager
    def watch(self, job_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever the job may have changed. Clear it before you look."""
        event = asyncio.Event()
        self._watched.setdefault(job_id, set()).add(event)
        try:
            yield event
        finally:
            self._watched[job_id].discard(event)
            if not self._watched[job_id]:
                del self._watched[job_id]

    @property
    def watched(self) -> int:
        """How many jobs somebody waits for."""
        return len(self._watched)

    def _tell(self, text: str) -> None:
        job_id = parse_id(text)
        if job_id is None:
            log.warning("unreadable job news", text=text)
            return
        for event in self._watched.get(job_id, ()):
            event.set()

    def _tell_all(self) -> None:
        """What was said while nobody listened is unknown: everybody looks for themselves."""
        for events in self._watched.values():
            for event in events:
                event.set()
