"""When a schedule is due: again and again by cron, or once. Rules without I/O."""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from shared.schedules.cron import Cron, read_cron, read_zone
from shared.schedules.errors import InvalidSchedule

_MOST_AHEAD: Final = timedelta(days=50 * 365)


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly one of `cron` and `run_at`, and the time within which it counts. Times are in UTC."""

    cron: str | None
    run_at: datetime | None
    timezone: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def after(self, moment: datetime) -> datetime | None:
        """The first due time that is later than `moment`; None: there is none any more."""
        if self.cron is None:
            due = self.run_at if self.run_at is not None and self.run_at > moment else None
        else:
            due = self._cron(self.cron).after(self._from(moment))
        return due if due is not None and due <= self._until(due) else None

    def latest(self, due: datetime, now: datetime) -> datetime:
        """The last due time up to now, of those from `due` on: of several that were missed one is run."""
        return due if self.cron is None else self._cron(self.cron).latest(due, self._until(now))

    def local(self, moment: datetime) -> datetime:
        """The moment in the schedule's zone."""
        return moment.astimezone(read_zone(self.timezone))

    def _cron(self, expression: str) -> Cron:
        return Cron(expression, read_zone(self.timezone))

    def _from(self, moment: datetime) -> datetime:
        """A time that is `starts_at` to the second counts."""
        return moment if self.starts_at is None else max(moment, self.starts_at - timedelta(microseconds=1))

    def _until(self, moment: datetime) -> datetime:
        return moment if self.ends_at is None else min(moment, self.ends_at)


def read_timing(asked: Timing, now: datetime) -> Timing:
    """What was asked for, in its usual spelling; times that name no zone are of the schedule's.

    Raises:
        InvalidSchedule: it does not fit, or is never due; the text names the field.
    """
    if (asked.cron is None) == (asked.run_at is None):
        found = "neither" if asked.cron is None else "both"
        raise InvalidSchedule("cron", f"exactly one of `cron` and `run_at` is needed, and not {found}")
    zone = read_zone(asked.timezone)
    timing = Timing(
        cron=None if asked.cron is None else read_cron(asked.cron),
        run_at=_in_utc("run_at", asked.run_at, zone, now),
        timezone=asked.timezone,
        starts_at=_in_utc("starts_at", asked.starts_at, zone, now),
        ends_at=_in_utc("ends_at", asked.ends_at, zone, now),
    )
    _check_window(timing)
    return timing


def check_due(timing: Timing, now: datetime) -> None:
    """Refuse what is never due from now on.

    Raises:
        InvalidSchedule: it is so.
    """
    if timing.after(now) is not None:
        return
    if timing.cron is None:
        raise InvalidSchedule("run_at", f"{timing.run_at:%Y-%m-%dT%H:%M:%SZ} has passed: name a later time")
    until = "within 50 years" if timing.ends_at is None else "before `ends_at`"
    raise InvalidSchedule("cron", f"there is no such time {until}")


def _check_window(timing: Timing) -> None:
    if timing.cron is None and (timing.starts_at or timing.ends_at):
        field = "starts_at" if timing.starts_at else "ends_at"
        raise InvalidSchedule(field, "goes with `cron`; `run_at` is one time: leave it out")
    if timing.starts_at and timing.ends_at and timing.ends_at < timing.starts_at:
        raise InvalidSchedule("ends_at", "lies before `starts_at`")


def _in_utc(field: str, moment: datetime | None, zone: ZoneInfo, now: datetime) -> datetime | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    if abs(aware.replace(tzinfo=UTC) - now) > _MOST_AHEAD:  # far from where times of other zones overflow
        raise InvalidSchedule(field, "lies more than 50 years from now")
    return aware.astimezone(UTC)
