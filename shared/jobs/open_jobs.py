"""How many unfinished jobs one tenant may have."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.tenant_lock import lock_tenant
from shared.jobs.errors import TooManyJobs
from shared.quotas.holdings import held
from shared.quotas.limits import limit_of
from shared.quotas.quota import Quota
from shared.settings import Settings


async def take_place(session: AsyncSession, tenant_id: UUID, *, settings: Settings) -> None:
    """Let the tenant have one more job, which the same transaction adds: never too many, whoever else asks.

    Raises:
        TooManyJobs: it has as many as it may.
    """
    await lock_tenant(session, tenant_id)
    await check_open_jobs(session, tenant_id, settings=settings)


async def check_open_jobs(session: AsyncSession, tenant_id: UUID, *, settings: Settings) -> None:
    """Whether the tenant may have one more, as things are now.

    Raises:
        TooManyJobs: it has as many as it may.
    """
    most = await limit_of(session, tenant_id, Quota.OPEN_JOBS, settings=settings)
    if most and await held(session, tenant_id, Quota.OPEN_JOBS) >= most:
        raise TooManyJobs(most)
