"""Spans of time as people write them."""

import re

LEAST_SPAN_S, MOST_SPAN_S = 1.0, 30 * 24 * 3600.0  # that a job may be given

_SPAN = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*([smhd]?)\s*", re.ASCII)
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


def span_s(text: str) -> float | None:
    """The seconds of `90`, `90s`, `1.5m`, `2h` or `7d`; None where it is nothing of the kind."""
    found = _SPAN.fullmatch(text)
    return float(found[1]) * _UNIT_S[found[2]] if found else None
