"""What is counted for a tenant before more is let in, is counted by one transaction at a time."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


async def lock_tenant(session: AsyncSession, tenant_id: UUID) -> None:
    """Wait until no other transaction has this lock of the tenant, and hold it until this one ends.

    Take it before any row's. What is read after it holds all that was committed under it before.
    """
    key = int.from_bytes(
        tenant_id.bytes[-8:], signed=True
    )  # ids end in random bits: two hardly ever share one
    await session.execute(select(func.pg_advisory_xact_lock(key)))
