"""Which stretch of time a report is about, and in which steps."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from shared.errors import InvalidInput

MOST_STEPS: Final = 1500  # a day of minutes, two months of hours


class InvalidTimeRange(InvalidInput):
    """The times asked for do not fit each other, or are too many."""

    code = "invalid_time_range"


class Step(StrEnum):
    """How much time a point stands for. Days are those of UTC."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """As a duration."""
        return _LENGTHS[self]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """From the beginning of a step to some later time, in UTC."""

    start: datetime
    end: datetime
    step: Step


_LENGTHS: Final = {
    Step.MINUTE: timedelta(minutes=1),
    Step.HOUR: timedelta(hours=1),
    Step.DAY: timedelta(days=1),
}
_USUAL: Final = {
    Step.MINUTE: timedelta(hours=1),
    Step.HOUR: timedelta(days=1),
    Step.DAY: timedelta(days=30),
}


def window(start: datetime | None, end: datetime | None, step: Step, *, now: datetime) -> Window:
    """The window asked for: until now, unless told otherwise, and from an hour, a day or 30 days before.

    Args:
        start: moved back to where its step begins. A time without a zone is taken for UTC.

    Raises:
        InvalidTimeRange: it ends before it begins, or has more than MOST_STEPS steps.
    """
    try:
        last = now if end is None else _utc(end)
        first = _begin(last - _USUAL[step] if start is None else _utc(start), step)
    except OverflowError:
        raise InvalidTimeRange("`from` or `to` is beyond what a calendar holds") from None
    if first >= last:
        raise InvalidTimeRange("`from` must be before `to`, which is now if it is not given")
    if last - first > MOST_STEPS * step.length:
        raise InvalidTimeRange(
            f"more than {MOST_STEPS} points: ask for less time, or for a longer `step` than {step}"
        )
    return Window(start=first, end=last, step=step)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _begin(moment: datetime, step: Step) -> datetime:
    """Where the step begins that holds the moment."""
    minute = moment.replace(second=0, microsecond=0)
    if step is Step.MINUTE:
        return minute
    hour = minute.replace(minute=0)
    return hour if step is Step.HOUR else hour.replace(hour=0)
