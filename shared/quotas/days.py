"""What is used up within a day, counted where it is used."""

from collections.abc import Iterable
from datetime import date
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.quotas.errors import RowsQuotaExceeded
from shared.quotas.holdings import held
from shared.quotas.limits import limit_of
from shared.quotas.quota import MOST, Quota
from shared.settings import Settings

KEPT_DAYS: Final = 400  # as long as analytics keep their hours
MOST_FORGOTTEN: Final = 5000  # rows at a time

# One statement decides and counts: of two at once the second waits for the first, and sees what it left.
_COUNT_ROWS: Final = text("""
INSERT INTO tenant_days AS t (tenant_id, day, job_rows)
SELECT CAST(:tenant AS uuid), (now() AT TIME ZONE 'UTC')::date, CAST(:rows AS bigint)
WHERE CAST(:rows AS bigint) <= CAST(:most AS bigint)
ON CONFLICT (tenant_id, day) DO UPDATE SET job_rows = t.job_rows + excluded.job_rows
    WHERE t.job_rows + excluded.job_rows <= CAST(:most AS bigint)
RETURNING job_rows
""")

# In one order everywhere, or two processes that add to the same rows could wait for each other.
_ADD_REQUESTS: Final = text("""
INSERT INTO tenant_days AS t (tenant_id, day, requests, prediction_rows)
SELECT m.tenant_id, c.day, sum(c.requests), sum(c.rows)
FROM unnest(
    CAST(:models AS uuid[]), CAST(:days AS date[]), CAST(:requests AS bigint[]), CAST(:rows AS bigint[])
) AS c(model_id, day, requests, rows)
JOIN models m ON m.id = c.model_id
GROUP BY 1, 2
ORDER BY 1, 2
ON CONFLICT (tenant_id, day) DO UPDATE SET
    requests = t.requests + excluded.requests,
    prediction_rows = t.prediction_rows + excluded.prediction_rows
""")


_FORGET: Final = text("""
DELETE FROM tenant_days WHERE (tenant_id, day) IN (
    SELECT tenant_id, day FROM tenant_days
    WHERE day < (now() AT TIME ZONE 'UTC')::date - CAST(:days AS integer)
    ORDER BY day LIMIT :most FOR UPDATE SKIP LOCKED
)
""")


class Use(msgspec.Struct, frozen=True):
    """Requests to predict with one model on one day, and the rows that were predicted."""

    model_id: UUID
    day: date
    requests: int
    rows: int


async def count_job_rows(session: AsyncSession, tenant_id: UUID, rows: int, *, settings: Settings) -> None:
    """Count rows of a job as predicted today. Rows of the tables may be locked, but no other of this one.

    Raises:
        RowsQuotaExceeded: the tenant may not predict so many more today; none is counted.
    """
    if not rows:
        return
    limit = await limit_of(session, tenant_id, Quota.JOB_ROWS_PER_DAY, settings=settings)
    given = {"tenant": tenant_id, "rows": rows, "most": limit or MOST}
    if await session.scalar(_COUNT_ROWS, given) is None:
        used = await held(session, tenant_id, Quota.JOB_ROWS_PER_DAY)
        raise RowsQuotaExceeded(limit=limit, used=used, more=rows)


async def add_requests(session: AsyncSession, uses: Iterable[Use]) -> None:
    """Add to the days of the tenants whose models were used; of models that are gone nobody knows whose."""
    columns = [(use.model_id, use.day, use.requests, use.rows) for use in uses]
    if columns:
        models, days, requests, rows = map(list, zip(*columns, strict=True))
        given = {"models": models, "days": days, "requests": requests, "rows": rows}
        await session.execute(_ADD_REQUESTS, given)


async def forget_old_days(session: AsyncSession) -> None:
    """Remove days that are more than KEPT_DAYS ago by the database's clock, a bounded number."""
    await session.execute(_FORGET, {"days": KEPT_DAYS, "most": MOST_FORGOTTEN})
