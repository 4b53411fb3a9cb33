"""Adding counts to the database, and keeping small what is old."""

from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Result,
    Select,
    Table,
    Uuid,
    bindparam,
    delete,
    exists,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared.analytics.backlog import Rows
from shared.analytics.histogram import trimmed
from shared.analytics.outcome import OUTCOMES
from shared.analytics.sums import sum_of_arrays, sums
from shared.analytics.tables import ARRAYS, NUMBERS, CountsRow
from shared.analytics.tally import Tally
from shared.catalog.tables import VersionRow
from shared.quotas.days import Use, add_requests

MINUTE_S: Final = 60
HOUR_S: Final = 3600
KEPT_DAYS: Final = 400  # so that a month can be held against that of the year before
FOLDED_AT_ONCE: Final = 5000  # rows of minutes, the work of a second or so

_COUNTS: Final = cast("Table", CountsRow.__table__)
_KEY_NAMES: Final = ("version_id", "start", "seconds")
_KEY: Final = (CountsRow.version_id, CountsRow.start, CountsRow.seconds)


async def add_counts(session: AsyncSession, rows: Rows) -> None:
    """Add the counts to those of their minutes, and of their tenants' days.

    Counts of versions that were deleted go to the days alone, those of deleted models nowhere.
    """
    # In one order everywhere, or two processes that add to the same rows could wait for each other.
    await session.execute(_ADD, [_values(key, rows[key]) for key in sorted(rows)])
    await add_requests(
        session,
        [Use(tally.model_id, start.date(), tally.requests, tally.rows) for (_, start), tally in rows.items()],
    )


async def fold_minutes(session: AsyncSession, *, minutes_days: int) -> int:
    """Turn minutes older than that many days into hours; a bounded number a time; the hours touched.

    Safe to run twice, even side by side: a minute is removed and counted in its hour in one statement.
    """
    old = (
        select(*_KEY)
        .where(CountsRow.seconds == MINUTE_S, CountsRow.start < _days_ago(minutes_days))
        .order_by(CountsRow.start)
        .limit(FOLDED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    taken = delete(CountsRow).where(tuple_(*_KEY).in_(old)).returning(*_COUNTS.c).cte("taken")
    hour = func.date_trunc("hour", taken.c.start, "UTC").label("start")
    of_hours = (
        select(taken.c.version_id, hour, literal(HOUR_S).label("seconds"))
        .add_columns(*(taken.c[name] for name in (*NUMBERS, *ARRAYS)))
        .subquery()
    )
    added = sums(of_hours, _KEY_NAMES)
    ordered = added.order_by(added.selected_columns.version_id, added.selected_columns.start)
    return _count(await session.execute(_adding(ordered)))


async def forget_old_counts(session: AsyncSession) -> int:
    """Delete what is older than KEPT_DAYS; the number of rows."""
    old = CountsRow.seconds.in_((MINUTE_S, HOUR_S)), CountsRow.start < _days_ago(KEPT_DAYS)
    return _count(await session.execute(delete(CountsRow).where(*old)))


def _values(key: tuple[UUID, datetime], tally: Tally) -> dict[str, Any]:
    version_id, minute = key
    return {
        "version_id": version_id,
        "start": minute,
        "seconds": MINUTE_S,
        **{name: getattr(tally, name) for name in NUMBERS},
        "outcomes": [tally.outcomes[outcome] for outcome in OUTCOMES],
        **{name: trimmed(getattr(tally, name)) for name in ("queue", "compute", "total")},
    }


def _adding(counts: Select[Any]) -> Insert:
    """The rows of `counts` are inserted, or added to those that are there."""
    inserted = insert(_COUNTS).from_select([*_KEY_NAMES, *NUMBERS, *ARRAYS], counts)
    new = inserted.excluded
    sums_of = {name: _COUNTS.c[name] + new[name] for name in NUMBERS}
    sums_of |= {name: sum_of_arrays(_COUNTS.c[name], new[name]) for name in ARRAYS}
    return inserted.on_conflict_do_update(index_elements=_KEY_NAMES, set_=sums_of)


def _given() -> Select[Any]:
    """One row of parameters, if its version is still there."""
    given = [bindparam(name, type_=_COUNTS.c[name].type) for name in (*_KEY_NAMES, *NUMBERS, *ARRAYS)]
    return select(*given).where(exists().where(VersionRow.id == bindparam("version_id", type_=Uuid())))


def _days_ago(days: int) -> ColumnElement[datetime]:
    return func.now() - timedelta(days=days)


def _count(result: Result[Any]) -> int:
    return cast("CursorResult[Any]", result).rowcount


_ADD: Final = _adding(_given())
