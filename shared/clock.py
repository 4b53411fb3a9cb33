"""Times are aware and in UTC; durations come from a clock that never jumps."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)
