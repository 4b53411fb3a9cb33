"""What a tenant has now: exact sums over the rows that say it, whoever wrote them.

In SQL as it stands: quotas are below the stories that these tables belong to, and all of them ask here. Sums
and no running totals: those would have to be kept right by everything that ever adds, removes or replaces a
file, and would make a tenant's transactions wait for each other. An index holds what is added up of jobs,
which are the only ones that a tenant has many of: of 100,000 it takes 10 to 40 ms, and nobody asks who has no
quota.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.quotas.quota import Quota

_VERSIONS: Final = "FROM model_versions v JOIN models m ON m.id = v.model_id WHERE m.tenant_id = :tenant"
_UPLOADS: Final = "FROM uploads WHERE tenant_id = :tenant AND ended_at IS NULL AND expires_at > now()"

# An upload has taken what it has announced. `stored_bytes`: see shared/jobs/tables.py.
_STORAGE: Final = f"""
SELECT (SELECT coalesce(sum(v.artifact_size_bytes + coalesce(v.sample_size_bytes, 0)), 0) {_VERSIONS})
    + (SELECT coalesce(sum(greatest(offset_bytes, coalesce(size_bytes, 0))), 0) {_UPLOADS})
    + (SELECT coalesce(sum(stored_bytes), 0) FROM jobs
        WHERE tenant_id = :tenant AND files_removed_at IS NULL AND deleted_at IS NULL)
"""  # noqa: S608  of constants

_QUERIES: Final[Mapping[Quota, TextClause]] = {
    quota: text(query)
    for quota, query in {
        Quota.STORAGE_BYTES: _STORAGE,
        Quota.MODELS: "SELECT count(*) FROM models WHERE tenant_id = :tenant",
        Quota.VERSIONS: f"SELECT count(*) {_VERSIONS}",
        Quota.OPEN_JOBS: "SELECT count(*) FROM jobs WHERE tenant_id = :tenant AND ended_at IS NULL",
        Quota.UPLOADS: f"SELECT count(*) {_UPLOADS}",
        Quota.SCHEDULES: "SELECT count(*) FROM schedules WHERE tenant_id = :tenant",
        Quota.API_KEYS: "SELECT count(*) FROM api_keys WHERE tenant_id = :tenant",
        Quota.JOB_ROWS_PER_DAY: "SELECT coalesce(sum(job_rows), 0) FROM tenant_days"
        " WHERE tenant_id = :tenant AND day = (now() AT TIME ZONE 'UTC')::date",
        Quota.PREDICTIONS_PER_DAY: "SELECT coalesce(sum(requests), 0) FROM tenant_days"
        " WHERE tenant_id = :tenant AND day = (now() AT TIME ZONE 'UTC')::date",
    }.items()
}


async def held(session: AsyncSession, tenant_id: UUID, quota: Quota) -> int:
    """How much of it the tenant has, or has used today. Predictions: as of the last flush of statistics."""
    return int(await session.scalar(_QUERIES[quota], {"tenant": tenant_id}) or 0)
