"""The exact versions that MLflow lists of all that it saw imported, whether the model needs them or not."""

import re
from collections.abc import Mapping, Sequence

_PIN = re.compile(r"([\w.-]+)==([\w.!+-]+)")
# What computes: another minor version may answer otherwise, another patch release does not.
_COMPUTE = ("scikit-learn", "numpy", "scipy", "pandas")
# What only carries: files and rows pass through, and every environment has a version that goes with the rest.
_CARRY = ("cloudpickle", "joblib", "threadpoolctl", "pyarrow", "msgspec")

Needs = dict[str, str | None]


def told_apart(lines: Sequence[str], needs: Mapping[str, str | None]) -> tuple[Needs, list[str]]:
    """Pins of what the model computes with as needs, which the same minor version meets; other lines as such.

    Args:
        needs: of the file inside, which know their versions better where they tell them.
    """
    found, others = dict(needs), list[str]()
    for line in lines:
        pin = _PIN.fullmatch(line)
        name = re.sub(r"[-_.]+", "-", pin[1]).lower() if pin else ""
        if pin is None or name not in {*_COMPUTE, *_CARRY, *needs}:
            others.append(line)
        elif name not in _CARRY:
            found[name] = found.get(name) or pin[2]
    return found, others
