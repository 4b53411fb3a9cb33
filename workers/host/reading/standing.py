"""How a name that a pickle imports stands: needed by models, known to be dangerous, or neither.

The lists are ours; none that travels in a file counts. They are a first gate and tell an owner what is in a
file: the boundary is the host's sandbox, which holds whatever a name does.
"""

import _compat_pickle
import re
from pathlib import Path
from typing import Literal

from workers.host.reading.dangerous import DANGEROUS_MODULES, DANGEROUS_NAMES, DANGEROUS_PATTERNS

Standing = Literal["allowed", "unknown", "dangerous"]

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def standing_of(module: str, name: str) -> Standing:
    """How an import stands. A pickle of Python 2 is judged by the names that they have today.

    A name with a dot reaches through its module into others (`numpy`, `f2py.os.system`): no model needs one.
    """
    now = _present_names(module, name)
    if is_dangerous(module, name) or is_dangerous(*now):
        return "dangerous"
    return "allowed" if (module, name) in ALLOWED_NAMES or now in ALLOWED_NAMES else "unknown"


def standing_of_attribute(target: tuple[str, str], name: str) -> Standing:
    """How an attribute stands that `getattr` takes from an imported name."""
    if name.startswith("_") or not _PLAIN_NAME.fullmatch(name) or standing_of(*target) == "dangerous":
        return "dangerous"
    return "unknown"


def is_dangerous(module: str, name: str) -> bool:
    """Whether the name runs, reaches or changes whatever it is told to."""
    if not _PLAIN_NAME.fullmatch(name) or not _PLAIN_MODULE.fullmatch(module):
        return True
    parts = module.split(".")
    above = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    if not above.isdisjoint(DANGEROUS_MODULES) or (module, name) in DANGEROUS_NAMES:
        return True
    return any(parts[0] == root and pattern.fullmatch(name) for root, pattern in DANGEROUS_PATTERNS)


def _listed(folder: Path) -> frozenset[tuple[str, str]]:
    lines = [line for file in folder.glob("*.txt") for line in file.read_text().splitlines()]
    pairs = [line.split() for line in lines if not line.startswith("#")]
    return frozenset((module, name) for module, name in pairs)


# Exact pairs of module and name that models of scikit-learn need. Read at import: a host opens no file.
ALLOWED_NAMES = _listed(Path(__file__).parent / "allowed")


def _present_names(module: str, name: str) -> tuple[str, str]:
    renamed = _compat_pickle.NAME_MAPPING.get((module, name))
    return renamed or (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
