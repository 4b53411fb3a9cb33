"""Which stretch of time a report is about."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.analytics.window import InvalidTimeRange, Step, window

NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)


@pytest.mark.parametrize(
    ("step", "start"),
    [
        (Step.MINUTE, datetime(2026, 3, 1, 11, 34, tzinfo=UTC)),
        (Step.HOUR, datetime(2026, 2, 28, 12, 0, tzinfo=UTC)),
        (Step.DAY, datetime(2026, 1, 30, 0, 0, tzinfo=UTC)),
    ],
)
def test_unless_told_otherwise_it_ends_now_and_began_a_usual_time_before(step, start):
    found = window(None, None, step, now=NOW)

    assert (found.start, found.end) == (start, NOW)


def test_it_begins_where_a_step_begins():
    start = datetime(2026, 3, 1, 10, 20, 30, tzinfo=UTC)

    assert window(start, None, Step.HOUR, now=NOW).start == datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def test_a_time_without_a_zone_is_utc_and_others_are_brought_there():
    naive = datetime(2026, 3, 1, 10, 0)  # noqa: DTZ001  that is the point
    in_delhi = datetime(2026, 3, 1, 16, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))

    found = window(naive, in_delhi, Step.MINUTE, now=NOW)

    assert (found.start, found.end) == (
        datetime(2026, 3, 1, 10, 0, tzinfo=UTC),
        datetime(2026, 3, 1, 10, 30, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (NOW, NOW - timedelta(minutes=5)),
        (NOW + timedelta(hours=1), None),
        (NOW - timedelta(days=2), NOW),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), None),
        (None, datetime.min),  # noqa: DTZ901  as a caller may send it
    ],
    ids=["backwards", "to come", "too many", "before the calendar", "at its start"],
)
def test_a_window_that_cannot_be_told_is_refused(start, end):
    with pytest.raises(InvalidTimeRange):
        window(start, end, Step.MINUTE, now=NOW)
