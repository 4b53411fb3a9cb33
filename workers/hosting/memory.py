"""How much memory a host has for itself, beside what it shares with its template."""

from pathlib import Path

_KB = 1024
_OWN = ("Private_Clean:", "Private_Dirty:")


def memory_bytes(pid: int) -> int:
    """Private memory of a process; 0 once it is gone.

    A host forbids others of its user to look into it. Where that holds for us too, its anonymous memory
    less the template's stands in: it misses the pages of the template that the host has made its own.
    """
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except PermissionError:
        return max(0, _anonymous_bytes(pid) - _anonymous_bytes(_parent(pid)))
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(_OWN)) * _KB


def _anonymous_bytes(pid: int) -> int:
    return int(_status(pid).get("RssAnon", "0 kB").split()[0]) * _KB


def _parent(pid: int) -> int:
    return int(_status(pid).get("PPid", "0"))


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
