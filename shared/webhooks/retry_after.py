"""How long a receiver asks to be left alone. Source: RFC 9110, section 10.2.3."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from shared.clock import utc_now


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds that `Retry-After` asks for, or None where it is missing or unreadable.

    A date is read against the receiver's own `Date`, so that no two clocks need to agree.

    Args:
        headers: of the answer, with names in lower case or compared without case.
    """
    value = headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    return (until - (_http_date(headers.get("date", "")) or utc_now())).total_seconds()


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
