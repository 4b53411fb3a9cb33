"""Keeps secrets out of the log: by the name of what is logged, by what URLs hide, and by what is known."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from structlog.typing import EventDict, WrappedLogger

from shared.secret_settings import HIDDEN, without_url_passwords

_NAMES: Final = re.compile(
    r"password|passwd|secret|token|authorization|api[_-]?key|cookie|credential", re.IGNORECASE
)
_SHORTEST: Final = 6  # characters; what is shorter stands in ordinary words

Renderer = Callable[[WrappedLogger, str, EventDict], Any]


class MaskingRenderer:
    """A structlog renderer around another.

    Args:
        secrets: that are hidden wherever they stand.
    """

    def __init__(self, renderer: Renderer, secrets: Iterable[str]) -> None:
        self._renderer = renderer
        forms = {form for secret in secrets for form in (secret, json.dumps(secret)[1:-1])}
        longest_first = sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, logger: WrappedLogger, name: str, event_dict: EventDict) -> str:
        """The line, without secrets."""
        line = str(self._renderer(logger, name, _masked(event_dict)))
        if self._known is not None:
            line = self._known.sub(HIDDEN, line)
        return without_url_passwords(line) if "://" in line else line


def _masked(values: Any) -> Any:
    return {
        key: HIDDEN
        if isinstance(value, str | bytes) and value and isinstance(key, str) and _NAMES.search(key)
        else _masked(value)
        if isinstance(value, dict)
        else value
        for key, value in values.items()
    }
