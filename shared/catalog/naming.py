"""What a model may be called."""

import re

from shared.catalog.errors import InvalidModelName
from shared.ids import parse_id

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def is_name(text: str) -> bool:
    """Whether a model could have this name. What could not is not worth looking for, or cannot even be."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> str:
    """The name, if a model can have it.

    Raises:
        InvalidModelName: it has other characters, or could be taken for an id or for a step in a path.
    """
    if not is_name(name):
        raise InvalidModelName(
            f"{name[:100]!r} cannot be a model's name: use 1 to 100 letters, digits, and any of _ - ."
        )
    if parse_id(name) is not None:
        raise InvalidModelName(
            f"{name!r} looks like an id; ids and names must not be mistaken for each other"
        )
    if not name.strip("."):
        raise InvalidModelName("a model's name cannot be made of dots alone")
    return name
