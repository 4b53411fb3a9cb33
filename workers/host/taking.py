"""Takes some of a call's rows, in whichever layout they are."""

from collections.abc import Sequence
from typing import Any

import pandas as pd


def row_count(rows: Any) -> int:
    """How many rows there are; tensors have as many as each of them."""
    return len(next(iter(rows.values()))) if isinstance(rows, dict) else len(rows)


def take(rows: Any, at: Sequence[int]) -> Any:
    """The rows at these places, in this order."""
    if isinstance(rows, dict):
        return {name: values[list(at)] for name, values in rows.items()}
    return rows.iloc[list(at)].reset_index(drop=True) if isinstance(rows, pd.DataFrame) else rows[list(at)]
