"""Categories that a booster was trained on, as the codes that it knows them by."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.catalog.verdict import Column, Datatype, Layout
from workers.host.error_text import shown
from workers.host.runtimes.tabular import Inputs, numbered

_SHOWN_CATEGORIES = 20


class CategoryCodes:
    """Writes a category as its place among those of training, and a missing one as NaN.

    Args:
        names: of all columns.
        categories: of those that have some, by the column's number.
        strict: refuse what was no category in training; otherwise it counts as missing.
    """

    def __init__(
        self, names: Sequence[str], categories: Mapping[int, Sequence[Any]], *, strict: bool
    ) -> None:
        self._names, self._strict = names, strict
        self._codes: dict[int, dict[Any, int]] = {
            at: {value: code for code, value in enumerate(values)} for at, values in categories.items()
        }

    def matrix(self, rows: Any) -> NDArray[np.float64]:
        """The rows of a table or of a matrix as numbers."""
        if not isinstance(rows, pd.DataFrame):
            return np.asarray(rows, np.float64)
        made = np.empty((len(rows), len(self._names)))
        for at in range(len(self._names)):
            values = rows.iloc[:, at].to_numpy()
            made[:, at] = self._coded(at, values) if at in self._codes else values
        return made

    def _coded(self, at: int, values: NDArray[Any]) -> list[float]:
        codes = self._codes[at]
        coded = [float(codes.get(value, np.nan)) for value in values.tolist()]
        if self._strict:
            self._refuse_unknown(at, values, coded)
        return coded

    def _refuse_unknown(self, at: int, values: NDArray[Any], coded: Sequence[float]) -> None:
        for value, code in zip(values.tolist(), coded, strict=True):
            if code != code and not pd.isna(value):  # noqa: PLR0124  NaN
                known = ", ".join(map(str, list(self._codes[at])[:_SHOWN_CATEGORIES]))
                raise ValueError(
                    f"{shown(repr(value))} is no category of {self._names[at]!r} that the model knows; "
                    f"it knows {shown(known)}"
                )


def booster_inputs(
    names: Sequence[str] | None, width: int, categories: Mapping[int, Sequence[Any]]
) -> Inputs:
    """Numbers, and a column of their own type for categories; a matrix where there are none."""
    columns = numbered(width)
    if names is not None:
        columns = [Column(name=name, datatype=Datatype.FP64) for name in names]
    for at, values in categories.items():
        columns[at] = Column(name=columns[at].name, datatype=_datatype(values), example=values[0])
    layout = Layout.TABLE if categories else Layout.MATRIX
    return Inputs(columns=columns, named=names is not None, layout=layout)


def _datatype(values: Sequence[Any]) -> Datatype:
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return Datatype.BOOL
    if kinds == {int}:
        return Datatype.INT64
    return Datatype.FP64 if kinds <= {int, float} else Datatype.BYTES
