"""What the platform does not start with in production: settings that are fine on one's own desk alone."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

_ENOUGH_BITS: Final = 96  # by the measure below, which finds less than there is in a short key
_MADE_UP: Final = re.compile(
    r"change.?me|replace.?me|secret|password|example|default|test|your.?key", re.IGNORECASE
)
_MAKE_ONE: Final = "make one with `openssl rand -hex 32`"


def check_production(*, keys: Mapping[str, str], public_url: str) -> None:
    """Refuse what others could guess or read.

    Args:
        keys: as their variables are called.

    Raises:
        ValueError: the text names the variable, and never its value.
    """
    for name, key in keys.items():
        if reason := _weakness(key):
            raise ValueError(f"{name}: {reason}, and ENVIRONMENT is production; {_MAKE_ONE}")
    url = urlsplit(public_url)
    if url.scheme != "https" or not url.hostname:
        raise ValueError(
            "PUBLIC_URL: in production it begins with https://, as passwords and keys are sent there; to try "
            "the platform out on your own machine, set ENVIRONMENT=development"
        )


def _weakness(key: str) -> str | None:
    if _MADE_UP.search(key):
        return "it reads like a placeholder"
    if key in (key + key)[1:-1]:
        return "it repeats itself"
    if _bits(key) < _ENOUGH_BITS:
        return "it has too few different characters to be random"
    return None


def _bits(key: str) -> float:
    """Shannon's entropy, of the characters' frequencies: what is random has at least about this much."""
    shares = [count / len(key) for count in Counter(key).values()]
    return -len(key) * sum(share * math.log2(share) for share in shares)
