"""Finds an estimator's signature: by looking at it, then by trying it on a few rows."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.catalog.verdict import Column, Datatype, Layout, Output, Signature
from workers.host.error_text import describe as describe_error
from workers.host.rejection import Rejected
from workers.host.replies import plain
from workers.host.rows import RowReader, Rows
from workers.host.runtimes.pickles import Global
from workers.host.runtimes.runtime import Description, LoadedModel
from workers.host.runtimes.sklearn_inputs import Inputs, find_inputs, probe_values

_DATATYPES = {"f": Datatype.FP64, "i": Datatype.INT64, "u": Datatype.INT64, "b": Datatype.BOOL}
_PYTHON_DATATYPES = {bool: Datatype.BOOL, int: Datatype.INT64, float: Datatype.FP64}
_MOST_DIMENSIONS = 2
_VARIED_ROWS = 64

# Modules of which we know that they treat a table of floats as they treat an array of them.
_LIBRARIES = frozenset({"sklearn", "numpy", "scipy", "joblib"})
_PICKLING = frozenset({"builtins", "__builtin__", "collections", "copyreg", "copy_reg", "_codecs"})
_ANY_CODE = ("sklearn.preprocessing._function_transformer", "FunctionTransformer")


def describe(
    model: LoadedModel, estimator: Any, seen: set[Global], sample: pd.DataFrame | None
) -> Description:
    """The signature of a loaded estimator.

    Args:
        seen: the names that its pickle imported.

    Raises:
        Rejected: it does not say what it takes, or fails on rows that fit.
    """
    inputs = find_inputs(estimator, sample)
    table = Signature(inputs=inputs.columns, named=inputs.named, layout=Layout.TABLE, outputs=[])
    model.accept(table)
    rows = _native_rows(table, model, probe_values(inputs, sample))
    outputs, warnings = _try_outputs(model, estimator, rows, sampled=sample is not None)
    signature = msgspec.structs.replace(table, outputs=outputs, classes=_classes(estimator))
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


def _try_outputs(
    model: LoadedModel, estimator: Any, rows: Rows, *, sampled: bool
) -> tuple[list[Output], list[str]]:
    outputs = [_output("label", _label(model, rows, sampled=sampled))]
    if not callable(getattr(estimator, "predict_proba", None)):
        return outputs, []
    probabilities = _probabilities(model, rows)
    if probabilities is None:
        return outputs, ["Its probabilities are not offered: they are not one row of numbers a row of input."]
    return [*outputs, _output("probabilities", probabilities)], []


def _label(model: LoadedModel, rows: Rows, *, sampled: bool) -> NDArray[Any]:
    try:
        label = model.predict(rows, ["label"])["label"]
    except Exception as error:
        raise _probe_failed(describe_error(error), sampled=sampled) from error
    if label.ndim > _MOST_DIMENSIONS:
        raise Rejected(
            "output_unsupported",
            f"The model answers {label.ndim - 1}-dimensional things for each row.",
            "Serve a model that answers a value, or a list of values, for each row.",
        )
    return label


def _probe_failed(what: str, *, sampled: bool) -> Rejected:
    if sampled:
        message = f"The model fails on the rows of the sample: {what}."
        return Rejected(
            "probe_failed", message, "Check that the sample holds rows as the model was trained on."
        )
    message = f"The model fails on a made-up row: {what}."
    return Rejected(
        "probe_failed", message, "Upload it with a `sample`: a CSV or Parquet file of some rows it takes."
    )


def _probabilities(model: LoadedModel, rows: Rows) -> NDArray[Any] | None:
    try:
        probabilities = model.predict(rows, ["probabilities"])["probabilities"]
    except Exception:  # noqa: BLE001  whatever it is, they are simply not offered
        return None
    usable = probabilities.ndim == _MOST_DIMENSIONS and probabilities.dtype.kind == "f"
    return probabilities if usable else None


def _output(name: str, values: NDArray[Any]) -> Output:
    datatype = _DATATYPES.get(values.dtype.kind)
    if datatype is None:
        first = plain(values.reshape(-1)[:1])[0]
        datatype = _PYTHON_DATATYPES.get(type(first), Datatype.BYTES)
    return Output(name=name, datatype=datatype, shape=list(values.shape[1:]))


def _classes(estimator: Any) -> list[Any] | None:
    classes = getattr(estimator, "classes_", None)
    return plain(classes) if isinstance(classes, np.ndarray) and classes.ndim == 1 else None


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
