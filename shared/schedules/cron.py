"""When a cron expression is due, in a time zone. Rules without I/O.

Clocks that are put forward and back are met as by Debian's cron. What runs at a time of day (minute and hour
do not begin with `*`) runs once on each of its days: at the next time that there is, where the clock leaves
its time out, and the first time only, where the clock passes it twice. What runs more often follows the
clock.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

from shared.schedules.errors import InvalidSchedule

CRON_MAX = 200  # characters
ZONE_MAX = 64  # likewise
SHORTHANDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS: Final = {
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, or L for the last",
    "month": "1-12, or JAN-DEC",
    "day-of-week": "0-7, or SUN-SAT; 0 and 7 are Sunday",
}
_MINUTE = timedelta(minutes=1)
_SOME_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)
# What the machine calls its own zone, and other spellings of the same: they differ between machines.
_NOT_EVERYWHERE: Final = ("localtime", "posixrules", "posix/", "right/", "Factory")


class Cron(msgspec.Struct, frozen=True):
    """An expression that `read_cron` has read, and the zone that its times are of."""

    expression: str
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime | None:
        """The first time later than `moment`, in UTC; None: there is none within 50 years."""
        return next((time for time in self._times(moment) if time > moment), None)

    def latest(self, due: datetime, until: datetime) -> datetime:
        """The last time up to `until`, of those from `due` on, which is one. Looks at some, not at each."""
        while until - due >= _MINUTE:
            middle = due + (until - due) / 2
            found = self.after(middle)
            if found is not None and found <= until:
                due = found
            else:
                until = middle
        return due

    def _times(self, moment: datetime) -> Iterator[datetime]:
        """From `moment` on, or from an hour before it: what the clock passes twice is told as the first."""
        local = moment.astimezone(self.zone)
        for time in CronSim(SHORTHANDS.get(self.expression, self.expression), local):
            yield time.astimezone(UTC)


def read_cron(text: str) -> str:
    """The expression in its usual spelling.

    Raises:
        InvalidSchedule: it is none; the text names its field that does not fit.
    """
    expression = " ".join(text[: CRON_MAX + 1].split())
    if expression.lower() in SHORTHANDS:
        return expression.lower()
    parts = expression.split(" ")
    if len(text) > CRON_MAX or len(parts) != len(_FIELDS):
        raise InvalidSchedule("cron", _WANTED)
    try:
        CronSim(expression, _SOME_TIME)
    except CronSimError as error:
        raise InvalidSchedule("cron", _what_is_wrong(str(error), parts)) from None
    except AssertionError:  # steps over what is no range, such as the last Friday
        raise InvalidSchedule("cron", "a step with `/` goes with `*`, a number or a range") from None
    return expression


def read_zone(name: str) -> ZoneInfo:
    """The zone of that name.

    Raises:
        InvalidSchedule: there is none.
    """
    refused = InvalidSchedule(
        "timezone", f"{name[:ZONE_MAX]!r} is no time zone: use a name such as Europe/Berlin or UTC"
    )
    if len(name) > ZONE_MAX or name.startswith(_NOT_EVERYWHERE):
        raise refused
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise refused from None


_WANTED: Final = (
    f"an expression has five fields with spaces between ({', '.join(_FIELDS)}), as in `30 2 * * *`,"
    f" and {CRON_MAX} characters at most, or is one of {', '.join(SHORTHANDS)}"
)


def _what_is_wrong(found: str, parts: list[str]) -> str:
    for part, (field, allowed) in zip(parts, _FIELDS.items(), strict=True):
        if found == f"Bad {field}":
            return f"the {field} {part!r} is none that there is: use {allowed}, `*`, lists, ranges and steps"
    return _WANTED
