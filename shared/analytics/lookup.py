"""Reading what was counted of a model."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, Subquery, cast, func, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from shared.analytics.histogram import durations, quantile_ms
from shared.analytics.outcome import ERRORS, OUTCOMES
from shared.analytics.report import Percentiles, Point, Report, Totals
from shared.analytics.sums import sums
from shared.analytics.tables import ARRAYS, NUMBERS, CountsRow
from shared.analytics.window import InvalidTimeRange, Step, Window
from shared.catalog.lookup import find_model, find_version
from shared.catalog.tables import VersionRow

MOST_POINTS: Final = 5000  # over all versions

_KEYS: Final = ("point", "number")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def report_use(
    session: AsyncSession, tenant_id: UUID, model: str, window: Window, *, version: int | None
) -> Report:
    """How the tenant's model was used.

    Args:
        version: only of this one; of all for None.

    Raises:
        ModelNotFound: there is none, or it is another tenant's.
        VersionNotFound: it has no such version.
        InvalidTimeRange: there would be more than MOST_POINTS points.
    """
    row = await find_model(session, tenant_id, model)
    if version is not None:
        await find_version(session, row, version)
    overall, *points = (await session.execute(_summed(_counts(row.id, window, version)))).all()
    if len(points) > MOST_POINTS:
        raise InvalidTimeRange(
            f"more than {MOST_POINTS} points over all versions: ask for one `version`, or for a longer `step`"
        )
    return Report(
        model=row.name,
        from_=window.start,
        to=window.end,
        step=window.step,
        totals=_totals(overall),
        series=[_point(point) for point in points],
    )


def _summed(counts: Subquery) -> Select[Any]:
    """One row of all, then one for each point and version in their order; one more than MOST_POINTS at most.

    All are added up out of the points: to look at every minute a second time would take twice as long.
    """
    points = sums(counts, _KEYS).cte("points")
    overall = sums(points, ()).subquery()
    nothing = (cast(null(), points.c[key].type).label(key) for key in _KEYS)
    every = union_all(select(*nothing, *overall.c), select(points)).subquery()
    in_order = (every.c[key].nulls_first() for key in _KEYS)
    return select(every).order_by(*in_order).limit(MOST_POINTS + 2)


def _counts(model_id: UUID, window: Window, version: int | None) -> Subquery:
    """Rows of counts, each with its version's number and with the point of the series that it belongs to."""
    query = (
        select(
            VersionRow.number,
            _point_of(window.step).label("point"),
            *(getattr(CountsRow, name) for name in (*NUMBERS, *ARRAYS)),
        )
        .join(VersionRow, VersionRow.id == CountsRow.version_id)
        .where(VersionRow.model_id == model_id, CountsRow.start >= window.start, CountsRow.start < window.end)
    )
    return (query if version is None else query.where(VersionRow.number == version)).subquery()


def _point_of(step: Step) -> ColumnElement[datetime]:
    """Where the step begins that a row of counts begins in."""
    return func.date_bin(step.length, CountsRow.start, _EPOCH, type_=CountsRow.start.type)


def _totals(row: Row[Any]) -> Totals:
    by_outcome = _by_outcome(row)
    requests = sum(by_outcome.values())
    errors = sum(by_outcome[outcome] for outcome in ERRORS)
    return Totals(
        requests=requests,
        by_outcome=by_outcome,
        rows=row.rows,
        cache_hits=row.cache_hits,
        error_rate=round(errors / requests, 6) if requests else 0.0,
        queue_ms=durations(row.queue, row.queue_us),
        compute_ms=durations(row.compute, row.compute_us),
        total_ms=durations(row.total, row.total_us),
    )


def _point(row: Row[Any]) -> Point:
    by_outcome = _by_outcome(row)
    return Point(
        start=row.point,
        version=row.number,
        requests=sum(by_outcome.values()),
        by_outcome=by_outcome,
        rows=row.rows,
        cache_hits=row.cache_hits,
        total_ms=Percentiles(p50=quantile_ms(row.total, 0.5), p99=quantile_ms(row.total, 0.99)),
    )


def _by_outcome(row: Row[Any]) -> dict[str, int]:
    """Rows may be older than the newest outcome."""
    return dict.fromkeys(OUTCOMES, 0) | dict(zip(OUTCOMES, row.outcomes, strict=False))
