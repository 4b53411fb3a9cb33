"""Answers calls of many rows by a walk over the model's trees, once that was seen to give its bits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.catalog.verdict import Engine
from workers.host.engines.accelerated import AcceleratedModel
from workers.host.engines.compiled import ANSWERED
from workers.host.engines.compiling import compile_for_many_rows
from workers.host.rows import Rows
from workers.host.runtimes.runtime import Answering, LoadedModel

TRIED_ROWS = 256  # of the first call of each kind; they are answered by the model as well

Answers = dict[str, NDArray[Any]]
Kind = tuple[bool, tuple[str, ...]]  # whether values are missing, and the outputs asked for


def many_rows_model(model: LoadedModel, columns: int) -> "ManyRowsModel | None":
    """The model in a form that answers many rows faster; None where there is none.

    Args:
        columns: of its rows.
    """
    try:
        compiled = compile_for_many_rows(model.fitted, columns)
    except Exception:  # noqa: BLE001  CannotCompile above all; the model answers as well
        return None
    why = f"Its answers are compared with the model's on the first {TRIED_ROWS} rows of each kind."
    engine = Engine(name=compiled.engine, why=why, takes_missing=compiled.takes_missing)
    return ManyRowsModel(model, AcceleratedModel(model, compiled, engine), engine)


class ManyRowsModel:
    """Tries its walk on rows of each kind of call, and leaves to the model what was not the same.

    Attributes:
        engine: what answers, as a verdict tells it.
    """

    def __init__(self, model: Answering, walk: Answering, engine: Engine) -> None:
        self.engine = engine
        self._native, self._walk = model.predict, walk.predict
        self._same: dict[Kind, bool] = {}

    def predict(self, rows: Rows, outputs: Sequence[str]) -> Answers:
        """Each output asked for, with one entry a row."""
        if not isinstance(rows, np.ndarray) or not ANSWERED.issuperset(outputs):
            return self._native(rows, outputs)
        missing = np.isnan(rows)
        kind = (bool(missing.any()), tuple(outputs))
        if kind not in self._same:
            self._same[kind] = self._answers_alike(rows[missing.any(axis=1)] if kind[0] else rows, outputs)
        return self._walk(rows, outputs) if self._same[kind] else self._native(rows, outputs)

    def _answers_alike(self, rows: NDArray[np.float64], outputs: Sequence[str]) -> bool:
        """An error of the model's is its answer: it is raised here, and rows of the kind are tried again."""
        tried = rows[:TRIED_ROWS]
        wanted, given = self._native(tried, outputs), self._walk(tried, outputs)
        return all(_equal(given[name], wanted[name]) for name in wanted)


def _equal(given: NDArray[Any], wanted: NDArray[Any]) -> bool:
    """To the last bit and to the type."""
    if given.dtype != wanted.dtype or given.shape != wanted.shape:
        return False
    return np.array_equal(given, wanted, equal_nan=wanted.dtype.kind == "f")
