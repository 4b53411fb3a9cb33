"""What a model answers, as columns of the output."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as kinds
from numpy.typing import NDArray

from workers.hosting.call import Prediction


def prediction_columns(prediction: Prediction, schema: pa.Schema) -> list[pa.Array]:
    """The main output, which was asked for alone, as columns: one, or one each of its numbers."""
    (main,) = prediction.outputs.values()
    if kinds.is_list(schema[0].type):
        return [_lists(main, schema[0].type)]
    columns = [main] if len(schema) == 1 and _is_flat(main) else _across(main)
    return [_array(column, field.type) for column, field in zip(columns, schema, strict=True)]


def _lists(main: list[Any] | NDArray[np.generic], wanted: pa.DataType) -> pa.Array:
    """Arrays as lists in lists."""
    if not isinstance(main, np.ndarray):
        return pa.array(main, wanted)
    values = pa.array(main.reshape(-1))
    for size in reversed(main.shape[1:]):
        offsets = np.arange(0, len(values) + 1, size, dtype=np.int32)
        values = pa.ListArray.from_arrays(offsets, values)
    return values.cast(wanted)


def _is_flat(main: list[Any] | NDArray[np.generic]) -> bool:
    return main.ndim == 1 if isinstance(main, np.ndarray) else not isinstance(main[0], list)


def _across(main: list[Any] | NDArray[np.generic]) -> list[Any]:
    return (
        list(main.reshape(len(main), -1).T)
        if isinstance(main, np.ndarray)
        else [list(column) for column in zip(*main, strict=True)]
    )


def _array(values: Any, wanted: pa.DataType) -> pa.Array:
    array = pa.array(np.ascontiguousarray(values) if isinstance(values, np.ndarray) else values)
    return array if array.type == wanted else array.cast(wanted)
