"""What a tenant uses of what it may use, now and on the days before."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.now import database_now
from shared.quotas.holdings import held
from shared.quotas.limits import limits_of
from shared.quotas.quota import PER_DAY, Quota, QuotaUse
from shared.quotas.tables import TenantDayRow
from shared.settings import Settings

DAYS: Final = 30  # that are told, today among them


class DayUse(msgspec.Struct, frozen=True, kw_only=True):
    """What one day in UTC took.

    Attributes:
        requests: to predict, however they ended.
        prediction_rows: that those were answered for.
        job_rows: rows of jobs.
    """

    day: date
    requests: int = 0
    prediction_rows: int = 0
    job_rows: int = 0


class UsagePeriod(msgspec.Struct, frozen=True, kw_only=True):
    """The first day of the days, and the last, which is today."""

    start: date
    end: date


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Every quota, and the days of the period, none left out."""

    period: UsagePeriod
    quotas: list[QuotaUse]
    days: list[DayUse]


async def usage_of(
    session: AsyncSession, tenant_id: UUID, *, settings: Settings, counted: Mapping[Quota, int]
) -> Usage:
    """What the tenant uses.

    Args:
        counted: what is known better than the tables know it.
    """
    today = (await database_now(session)).astimezone(UTC).date()
    limits = await limits_of(session, tenant_id, settings)
    used = {quota: counted.get(quota, await held(session, tenant_id, quota)) for quota in Quota}
    start = today - timedelta(days=DAYS - 1)
    return Usage(
        period=UsagePeriod(start=start, end=today),
        quotas=[_quota_use(quota, used[quota], limits[quota], today) for quota in Quota],
        days=await _days(session, tenant_id, start),
    )


def _quota_use(quota: Quota, used: int, limit: int, today: date) -> QuotaUse:
    midnight = datetime.combine(today + timedelta(days=1), time(), UTC)
    return QuotaUse(
        name=quota, used=used, limit=limit or None, resets_at=midnight if quota in PER_DAY else None
    )


async def _days(session: AsyncSession, tenant_id: UUID, start: date) -> list[DayUse]:
    query = select(TenantDayRow).where(TenantDayRow.tenant_id == tenant_id, TenantDayRow.day >= start)
    known = {row.day: row for row in await session.scalars(query)}
    return [_day_use(day, known.get(day)) for day in (start + timedelta(days=n) for n in range(DAYS))]


def _day_use(day: date, row: TenantDayRow | None) -> DayUse:
    if row is None:
        return DayUse(day=day)
    return DayUse(day=day, requests=row.requests, prediction_rows=row.prediction_rows, job_rows=row.job_rows)
