"""What a process that was killed has left half written in a folder: no listing tells of it."""

import re
from collections.abc import Callable
from pathlib import Path

# How the store's library names a file until it is whole.
_DRAFT = re.compile(r"(.+)#\d+", re.ASCII)


def delete_drafts(folder: Path, prefix: str, *, spare: Callable[[str], bool]) -> None:
    """Remove those below `prefix`, but for those of keys to `spare`."""
    for draft in (folder / prefix).rglob("*#*"):
        found = _DRAFT.fullmatch(draft.relative_to(folder).as_posix())
        if found and not spare(found[1]):
            draft.unlink(missing_ok=True)
