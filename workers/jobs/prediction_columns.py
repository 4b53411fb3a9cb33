"""What a model answers, as columns of the output."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as kinds
from numpy.typing import NDArray

from shared.catalog.verdict import Output
from shared.jobs.further_outputs import width_of
from workers.hosting.call import Prediction


def prediction_columns(
    prediction: Prediction, outputs: Sequence[Output], schema: pa.Schema
) -> list[pa.Array]:
    """The outputs, which were asked for in this order, each as columns: one, or one each of its numbers."""
    fields = iter(schema)
    columns: list[pa.Array] = []
    for output in outputs:
        types = [next(fields).type for _ in range(width_of(output))]
        columns += _columns(prediction.outputs[output.name], types)
    return columns


def _columns(values: list[Any] | NDArray[np.generic], types: list[pa.DataType]) -> list[pa.Array]:
    """Of one output."""
    if kinds.is_list(types[0]):
        return [_lists(values, types[0])]
    columns = [values] if len(types) == 1 and _is_flat(values) else _across(values)
    return [_array(column, wanted) for column, wanted in zip(columns, types, strict=True)]


def _lists(arrays: list[Any] | NDArray[np.generic], wanted: pa.DataType) -> pa.Array:
    """Arrays as lists in lists."""
    if not isinstance(arrays, np.ndarray):
        return pa.array(arrays, wanted)
    values = pa.array(arrays.reshape(-1))
    for size in reversed(arrays.shape[1:]):
        offsets = np.arange(0, len(values) + 1, size, dtype=np.int32)
        values = pa.ListArray.from_arrays(offsets, values)
    return values.cast(wanted)


def _is_flat(values: list[Any] | NDArray[np.generic]) -> bool:
    return values.ndim == 1 if isinstance(values, np.ndarray) else not isinstance(values[0], list)


def _across(values: list[Any] | NDArray[np.generic]) -> list[Any]:
    return (
        list(values.reshape(len(values), -1).T)
        if isinstance(values, np.ndarray)
        else [list(column) for column in zip(*values, strict=True)]
    )


def _array(values: Any, wanted: pa.DataType) -> pa.Array:
    array = pa.array(np.ascontiguousarray(values) if isinstance(values, np.ndarray) else values)
    return array if array.type == wanted else array.cast(wanted)
