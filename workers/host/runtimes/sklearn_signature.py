"""Finds an estimator's signature: by looking at it, then by trying it on a few rows."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.catalog.verdict import Column, Datatype, Layout, Signature
from workers.host.rejection import Rejected
from workers.host.replies import plain
from workers.host.rows import RowReader, Rows
from workers.host.runtimes.pickles import Global
from workers.host.runtimes.runtime import Description, LoadedModel
from workers.host.runtimes.sklearn_inputs import Inputs, find_inputs, probe_values, with_ones
from workers.host.runtimes.sklearn_outputs import Methods
from workers.host.runtimes.sklearn_trial import try_outputs

_VARIED_ROWS = 64

# Modules of which we know that they treat a table of floats as they treat an array of them.
_LIBRARIES = frozenset({"sklearn", "numpy", "scipy", "joblib"})
_PICKLING = frozenset({"builtins", "__builtin__", "collections", "copyreg", "copy_reg", "_codecs"})
_ANY_CODE = ("sklearn.preprocessing._function_transformer", "FunctionTransformer")


def describe(
    model: LoadedModel, methods: Methods, seen: set[Global], sample: pd.DataFrame | None
) -> Description:
    """The signature of a loaded estimator.

    Args:
        seen: the names that its pickle imported.

    Raises:
        Rejected: it does not say what it takes, or fails on rows that fit.
    """
    inputs = find_inputs(model.fitted, sample)
    try:
        return _described(model, methods, seen, inputs, sample)
    except Rejected as refusal:
        if sample is not None or refusal.reason.code != "probe_failed":
            raise
        try:
            return _described(model, methods, seen, with_ones(inputs), None)
        except Rejected:
            raise refusal from None


def _described(
    model: LoadedModel, methods: Methods, seen: set[Global], inputs: Inputs, sample: pd.DataFrame | None
) -> Description:
    table = Signature(inputs=inputs.columns, named=inputs.named, layout=Layout.TABLE, outputs=[])
    model.accept(table)
    rows = _native_rows(table, model, probe_values(inputs, sample))
    outputs, warnings = try_outputs(model, methods, rows, sampled=sample is not None)
    signature = msgspec.structs.replace(table, outputs=outputs, classes=_classes(model.fitted))
    if not isinstance(rows, pd.DataFrame) or _same_through_matrix(model, signature, rows, seen):
        signature, rows = _as_matrix(signature), np.asarray(rows, np.float64)
    return Description(signature=signature, rows=rows, warnings=warnings + _warnings_of(inputs))


def _native_rows(table: Signature, model: LoadedModel, values: list[list[Any]]) -> Rows:
    """The probe as the model was trained: on a table, or on a bare array of numbers."""
    rows = RowReader(table, model.none_columns).from_lists(values, len(values[0]))
    if table.named or not _all_numbers(table):
        return rows
    return np.asarray(rows, np.float64)


def _all_numbers(signature: Signature) -> bool:
    return all(column.datatype is not Datatype.BYTES for column in signature.inputs)


def _classes(estimator: Any) -> list[Any] | None:
    classes = getattr(estimator, "classes_", None)
    return plain(classes) if isinstance(classes, np.ndarray) and classes.ndim == 1 and classes.size else None


def _same_through_matrix(
    model: LoadedModel, signature: Signature, rows: pd.DataFrame, seen: set[Global]
) -> bool:
    """Whether the model demonstrably answers a bare array as it answers a table."""
    known = (
        all(module.split(".")[0] in _LIBRARIES | _PICKLING for module, _ in seen) and _ANY_CODE not in seen
    )
    if not known or not _all_numbers(signature):
        return False
    names = [output.name for output in signature.outputs]
    return all(_agree(model, names, table) for table in (rows, _varied(rows)))


def _agree(model: LoadedModel, names: Sequence[str], table: pd.DataFrame) -> bool:
    try:
        from_table = model.predict(table, names)
        from_matrix = model.predict(table.to_numpy(np.float64), names)
    except Exception:  # noqa: BLE001  then they are not the same
        return False
    return all(_equal(from_table[name], from_matrix[name]) for name in names)


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """The same, but for the last bits: a table lies in memory the other way round, and sums run otherwise."""
    if one.dtype.kind != "f":
        return plain(one) == plain(other)
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True)


def _varied(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows around the first, so that a model's branches are seen; columns of categories stay as they are."""
    repeated = rows.iloc[[0] * _VARIED_ROWS].reset_index(drop=True)
    floats = [at for at, dtype in enumerate(repeated.dtypes) if dtype.kind == "f"]
    spread = np.maximum(np.abs(rows.iloc[0, floats].to_numpy(np.float64)), 1.0)
    noise = np.random.default_rng(0).normal(size=(_VARIED_ROWS, len(floats)))
    for at, column in enumerate(floats):
        repeated.isetitem(column, repeated.iloc[:, column].to_numpy(np.float64) + noise[:, at] * spread[at])
    return repeated


def _as_matrix(signature: Signature) -> Signature:
    columns = [
        Column(name=column.name, datatype=Datatype.FP64, example=float(column.example or 0.0))
        for column in signature.inputs
    ]
    return msgspec.structs.replace(signature, inputs=columns, layout=Layout.MATRIX)


def _warnings_of(inputs: Inputs) -> list[str]:
    if inputs.named or len(inputs.columns) == 1:
        return []
    return ["The model knows no column names: values count by their order."]
