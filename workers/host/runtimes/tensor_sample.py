"""Reads the rows of a sample into a model's tensors; finds the shapes that the model itself does not say."""

from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workers.host.rejection import Rejected
from workers.host.rows import Tensors
from workers.host.runtimes.tensors import TensorInput, is_matrix


def sampled(
    inputs: list[TensorInput], sample: pd.DataFrame | None
) -> tuple[list[TensorInput], Tensors, list[str] | None]:
    """The inputs with all shapes known, rows to try them on, and names of columns where the sample has them.

    Raises:
        Rejected: neither the model nor a sample says what a row is; or the sample does not fit.
    """
    if sample is None:
        _refuse_unknown(inputs)
        return inputs, {one.name: one.row()[np.newaxis] for one in inputs}, None
    if {one.name for one in inputs} <= set(sample.columns):
        tensors = {one.name: _stacked(sample[one.name], one) for one in inputs}
    elif len(inputs) == 1:
        tensors = {inputs[0].name: _side_by_side(sample, inputs[0])}
    else:
        raise _differs(f"lacks columns named {', '.join(one.name for one in inputs)}")
    known = [_with_row(one, tensors[one.name]) for one in inputs]
    wide = is_matrix(known) and known[0].name not in sample.columns
    return known, tensors, list(sample.columns) if wide else None


def _refuse_unknown(inputs: list[TensorInput]) -> None:
    unknown = [one.name for one in inputs if one.shape is None]
    if unknown:
        raise Rejected(
            "inputs_unknown",
            f"The model does not say which shape its input {unknown[0]!r} has.",
            "Upload it with a `sample`: a CSV file of some rows, or a Parquet file with a column an input, "
            "whose values may be nested lists.",
        )


def _side_by_side(sample: pd.DataFrame, one: TensorInput) -> NDArray[Any]:
    """All columns as one input."""
    if sample.shape[1] == 1:
        return _stacked(sample.iloc[:, 0], one)
    try:
        values = sample.to_numpy(one.dtype)
    except (TypeError, ValueError) as error:
        raise _differs("has columns that are not numbers") from error
    return _shaped(values, one)


def _stacked(column: "pd.Series[Any]", one: TensorInput) -> NDArray[Any]:
    """A column whose values are one input's rows: scalars, or nested lists of one shape."""
    try:
        if one.dtype == "object" and isinstance(column.iloc[0], str):
            return _shaped(column.astype(str).to_numpy(object), one)
        return _shaped(np.array([_nested(value) for value in column], one.dtype), one)
    except (TypeError, ValueError) as error:
        raise _differs(f"has values in {column.name!r} that are no {one.dtype} of one shape") from error


def _nested(value: Any) -> Any:
    """Parquet gives lists of lists as arrays of arrays."""
    if isinstance(value, np.ndarray):
        return [_nested(part) for part in value] if value.dtype == object else value.tolist()
    return [_nested(part) for part in value] if isinstance(value, list) else value


def _shaped(values: NDArray[Any], one: TensorInput) -> NDArray[Any]:
    if one.shape is None:
        return values
    if np.prod(values.shape[1:]) != np.prod(one.shape):
        raise _differs(
            f"has rows of the shape {list(values.shape[1:])} where the model takes {list(one.shape)}"
        )
    return values.reshape(len(values), *one.shape)


def _with_row(one: TensorInput, values: NDArray[Any]) -> TensorInput:
    return msgspec.structs.replace(one, shape=values.shape[1:], example=values[0:1].reshape(values.shape[1:]))


def _differs(how: str) -> Rejected:
    return Rejected(
        "sample_unusable",
        f"The sample {how}.",
        "Send a CSV or Parquet file of rows as the model takes them: a column a number, or an input.",
    )
