"""What the folders in a file's name say of its rows."""

import re
from urllib.parse import unquote

_NOTHING = "__HIVE_DEFAULT_PARTITION__"  # what Hive and Spark write for null
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")  # of 64 bits, whatever it is


def folder_values(path: str) -> dict[str, str | None]:
    """Names and values of the folders that are written like `year=2024`; null where nothing is said."""
    *folders, _ = path.split("/")
    pairs = [folder.split("=", 1) for folder in folders if "=" in folder]
    return {unquote(name): None if value == _NOTHING else unquote(value) for name, value in pairs if name}


def is_whole_number(text: str) -> bool:
    """Whether it can be read as one: `05` is 5."""
    return _WHOLE_NUMBER.fullmatch(text) is not None
