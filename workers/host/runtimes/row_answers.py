"""Makes arrays of what an author's own `predict` answers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workers.host.runtimes.library_model import LABEL, Answers


def by_name(answers: Any) -> Answers:
    """The answers as arrays; dicts a row are several outputs, of which the first is the main one.

    Raises:
        ValueError: rows with other names than the first.
    """
    rows = answers.to_dict("records") if isinstance(answers, pd.DataFrame) else list(answers)
    if not rows or not isinstance(rows[0], Mapping):
        return {LABEL: _array(rows)}
    names = list(rows[0])
    if any(not isinstance(row, Mapping) or row.keys() != rows[0].keys() for row in rows):
        raise ValueError("predict answered dicts with different keys")
    main = LABEL if LABEL in names else names[0]
    ordered = [main, *(name for name in names if name != main)]
    return {LABEL if name == main else str(name): _array([row[name] for row in rows]) for name in ordered}


def _array(values: list[Any]) -> NDArray[Any]:
    """Numbers as such; what is mixed or missing stays as it is."""
    if any(isinstance(value, str | bytes) or value is None for value in values):
        return _objects(values)
    try:
        array = np.array([_whole(value) for value in values])
    except ValueError:  # lists of different lengths
        return _objects(values)
    return array if array.dtype.kind in "fiubU" else _objects(values)


def _whole(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, list | tuple) else value


def _objects(values: list[Any]) -> NDArray[Any]:
    objects = np.empty(len(values), object)
    objects[:] = values
    return objects
