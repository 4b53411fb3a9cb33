"""What a process that was killed has left half written in a folder: no listing tells of it."""

import math
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


def delete_old_drafts(folder: Path, *, before: float) -> int:
    """Remove all that were touched last before then, in Unix seconds; how many there were."""
    old = [
        draft for draft in folder.rglob("*#*") if _DRAFT.fullmatch(draft.name) and _touched(draft) < before
    ]
    for draft in old:
        draft.unlink(missing_ok=True)
    return len(old)


def _touched(draft: Path) -> float:
    try:
        return draft.stat().st_mtime
    except FileNotFoundError:  # whole meanwhile
        return math.inf
