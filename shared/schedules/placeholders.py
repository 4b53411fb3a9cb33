"""Parts of a URL that the time fills in: `https://example.com/{date}.csv` is another file each day."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from shared.jobs.input_address import InputAddress
from shared.schedules.errors import InvalidSchedule

_FORMATS: Final[Mapping[str, str]] = {
    "date": "%Y-%m-%d",
    "year": "%Y",
    "month": "%m",
    "day": "%d",
    "hour": "%H",
}
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def check_placeholders(url: str) -> None:
    """Refuse a URL with a placeholder that there is not.

    Raises:
        InvalidSchedule: it has one. The text repeats nothing of the URL, which may hold a secret.
    """
    if any(name not in _FORMATS for name in _PLACEHOLDER.findall(url)):
        known = ", ".join(f"{{{name}}}" for name in _FORMATS)
        raise InvalidSchedule(
            "url",
            f"of what stands in braces only {known} is known; write other braces as %7B and %7D",
            pointer="/job/input/url",
        )


def filled(url: str, due: datetime) -> str:
    """The URL as it is for a time, which is in the schedule's zone."""
    return _PLACEHOLDER.sub(lambda found: due.strftime(_FORMATS[found[1]]), url)


def shown_url(url: str) -> str:
    """The URL with its placeholders, and without what may be secret."""
    shown = InputAddress(url).shown()
    for name in _FORMATS:
        shown = shown.replace(f"%7B{name}%7D", f"{{{name}}}")
    return shown
