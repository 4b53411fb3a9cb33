"""A job as a stream of events, from what its follower has seen last to its end."""

import contextlib
import time
from collections.abc import AsyncGenerator
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.auth import Holds
from api.event_streams import PING, RETRY, event
from shared.errors import PlatformError
from shared.jobs.service import JobService
from shared.jobs.view import JobView

log = structlog.get_logger()


def event_id(view: JobView) -> str:
    """Names what a job is like, as its `ETag` does: whoever has seen it needs no event about it."""
    return view.mark


async def job_events(
    jobs: JobService, tenant_id: UUID, *, job_id: UUID, seen: str, lasts_s: float, holds: Holds
) -> AsyncGenerator[bytes]:
    """An event for each change of the job, and a ping where there was none for a while.

    `status` tells of another state, `progress` of more rows. The end of the job ends the stream, and so does
    that of the credential which it was asked for with.

    Args:
        seen: id of the last event that the client has; empty: it has none.
        lasts_s: for how long at most. Clients come back by themselves, with credentials that still hold.
        holds: asked before anything is told.
    """
    yield RETRY
    looks = jobs.follow(tenant_id, job_id, until=time.monotonic() + lasts_s)
    try:
        async with contextlib.aclosing(looks):
            async for view in looks:
                if not await holds():
                    return
                yield PING if event_id(view) == seen else _told(view, seen)
                seen = event_id(view)
                if view.ended_at is not None:
                    return
    except (PlatformError, SQLAlchemyError, OSError) as error:  # too late for an answer
        log.warning("job_events_broke_off", job_id=str(job_id), error=type(error).__name__)


def _told(view: JobView, seen: str) -> bytes:
    name = "progress" if seen.partition("-")[0] == view.status else "status"
    return event(name, msgspec.json.encode(view), event_id=event_id(view))
