"""The `Prefer` header (RFC 7240): how long the client is ready to wait, and whether a job will do."""

import re
from collections.abc import Iterable

_WAIT = re.compile(r"""(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?\s*(?=[,;]|$)""", re.IGNORECASE)


def preferred_wait_s(header: str | None, *, default_s: float, most_s: float) -> float:
    """The seconds of `wait=n`, but at most `most_s`; the default where the header names none."""
    found = _WAIT.search(header or "")
    return min(float(found[1]), most_s) if found else default_s


_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
_ASYNC = re.compile(rb"(?:^|,)\s*respond-async\s*(?=[,;]|$)", re.IGNORECASE)


def prefers_later(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether one of the headers says `respond-async`. Names are in lower case."""
    return any(name == b"prefer" and _ASYNC.search(_QUOTED.sub(b'""', value)) for name, value in headers)
