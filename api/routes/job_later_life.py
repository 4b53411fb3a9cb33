"""Jobs that have ended: sending them on, and deleting them."""

from litestar import delete, post
from litestar.di import NamedDependency

from api.openapi import answers
from api.routes.job_ref import JobRef
from shared.access.caller import Caller
from shared.jobs.later_life import LaterLife
from shared.jobs.view import JobView


@post("/{job:str}/retry", status_code=202, responses=answers(401, 404, 409, 410))
async def retry_job(
    job: JobRef, caller: NamedDependency[Caller], later_life: NamedDependency[LaterLife]
) -> JobView:
    """Let a job that has failed, expired or been cancelled go on from where it stopped, as the same job.

    The rows that are done are not predicted again. 409 if it still runs, or has succeeded.
    """
    return await later_life.retry(caller.tenant_id, job)


@delete("/{job:str}", responses=answers(401, 404, 409))
async def delete_job(
    job: JobRef, caller: NamedDependency[Caller], later_life: NamedDependency[LaterLife]
) -> None:
    """Delete a job that has ended, with its input, its result and all else. 409 while it runs: cancel it."""
    await later_life.delete(caller.tenant_id, job)
