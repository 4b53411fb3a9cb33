"""How the inputs of an ONNX graph become columns, and rows become what the graph is fed."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.catalog.verdict import Column, Datatype, Layout
from workers.host.error_text import shown
from workers.host.rejection import Rejected
from workers.host.runtimes.tabular import Inputs, numbered
from workers.host.runtimes.values import tensor_datatype

Feed = dict[str, NDArray[Any]]

_DTYPES: dict[str, tuple[Any, Datatype]] = {
    "tensor(float)": (np.float32, Datatype.FP64),
    "tensor(double)": (np.float64, Datatype.FP64),
    "tensor(float16)": (np.float16, Datatype.FP64),
    "tensor(bool)": (np.bool_, Datatype.BOOL),
    "tensor(string)": (object, Datatype.BYTES),
} | {f"tensor({name})": (np.dtype(name), Datatype.INT64) for name in (
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"
)}  # fmt: skip
_MATRIX_RANK = 2
_EXPORT_AGAIN = "Export the model so that only the first dimension of each input, its rows, is left open."


class GraphInput(msgspec.Struct, frozen=True, kw_only=True):
    """One input of a graph.

    Attributes:
        dtype: that it is fed.
        batch: how many rows it takes at once; None: any number.
        shape: of one row; None where a dimension is left open.
    """

    name: str
    dtype: Any
    datatype: Datatype
    batch: int | None
    shape: list[int | None]

    @property
    def is_scalar(self) -> bool:
        """One value a row, in one dimension or two."""
        return self.shape in ([], [1])

    @property
    def tensor_datatype(self) -> Datatype:
        """The type that it has as a tensor."""
        return tensor_datatype(np.empty(0, self.dtype))

    def array(self, values: Any) -> NDArray[Any]:
        """Values as the graph takes them, of the shape that it wants.

        Raises:
            ValueError: a value is missing where none can be.
        """
        made = np.asarray(values)
        if self.datatype is Datatype.BYTES:
            made = np.where(pd.isna(made), "", made.astype(object))  # what converters read as missing
        elif self.datatype is not Datatype.FP64 and made.dtype.kind in "fO" and pd.isna(made).any():
            raise ValueError(
                f"the input {self.name!r} takes {self.datatype.lower()} values, and none is missing"
            )
        return made.astype(self.dtype, copy=False).reshape(len(made), *self._row_shape(made))

    def _row_shape(self, made: NDArray[Any]) -> Sequence[int]:
        known = [size for size in self.shape if size is not None]
        return known if len(known) == len(self.shape) else made.shape[1:]


def graph_inputs(found: Sequence[Any]) -> list[GraphInput]:
    """Of a session's inputs.

    Raises:
        Rejected: one is of a kind that no rows can be made into.
    """
    if not found:
        raise Rejected("inputs_unknown", "The graph has no inputs.", "Export the model with its inputs.")
    return [_graph_input(one.name, one.type, one.shape) for one in found]


def _graph_input(name: str, kind: str, shape: Sequence[int | str | None]) -> GraphInput:
    if kind not in _DTYPES:
        raise Rejected(
            "input_unsupported",
            f"The input {shown(name)!r} is a {shown(kind)}, which no row can be made into.",
            "Export the model with inputs of numbers, booleans or strings.",
        )
    if not shape:
        raise Rejected(
            "input_unsupported", f"The input {shown(name)!r} has no dimension for rows.", _EXPORT_AGAIN
        )
    sizes = [size if isinstance(size, int) and size > 0 else None for size in shape]
    if sizes[0] is not None and sizes[0] != 1:
        raise Rejected(
            "fixed_batch",
            f"The input {shown(name)!r} takes exactly {sizes[0]} rows at once, no more and no fewer.",
            _EXPORT_AGAIN,
        )
    dtype, datatype = _DTYPES[kind]
    return GraphInput(name=name, dtype=dtype, datatype=datatype, batch=sizes[0], shape=sizes[1:])


def columns_of(inputs: Sequence[GraphInput], sampled: int | None) -> Inputs:
    """What a graph takes, in columns.

    Args:
        sampled: how many columns the sample has, which tells a width that the graph leaves open.

    Raises:
        Rejected: the graph leaves open what only it can say.
    """
    if len(inputs) == 1 and len(inputs[0].shape) < _MATRIX_RANK:
        return _of_one(inputs[0], sampled)
    if all(one.is_scalar for one in inputs):
        columns = [Column(name=one.name, datatype=one.datatype) for one in inputs]
        return Inputs(columns=columns, named=True, layout=Layout.TABLE)
    columns = [Column(name=one.name, datatype=one.tensor_datatype, shape=_closed(one)) for one in inputs]
    return Inputs(columns=columns, named=True, layout=Layout.TENSORS)


def feeder(inputs: Sequence[GraphInput]) -> Callable[[Any], Feed]:
    """What makes of rows, in any layout, what the graph is fed."""
    only = inputs[0]

    def feed(rows: Any) -> Feed:
        if isinstance(rows, dict):
            return {one.name: one.array(rows[one.name]) for one in inputs}
        if len(inputs) == 1:
            return {only.name: only.array(rows.to_numpy() if isinstance(rows, pd.DataFrame) else rows)}
        return {one.name: one.array(rows[one.name].to_numpy()) for one in inputs}

    return feed


def _of_one(one: GraphInput, sampled: int | None) -> Inputs:
    width = one.shape[0] if one.shape else 1
    width = sampled if width is None else width
    if width is None:
        raise Rejected(
            "inputs_unknown",
            f"The graph leaves open how many columns its input {shown(one.name)!r} has.",
            "Upload it with a `sample` of some rows, or export it with their number.",
        )
    if one.datatype is Datatype.FP64:
        return Inputs(columns=numbered(width), named=False, layout=Layout.MATRIX)
    columns = [Column(name=column.name, datatype=one.datatype) for column in numbered(width)]
    return Inputs(columns=columns, named=False, layout=Layout.TABLE)


def _closed(one: GraphInput) -> list[int]:
    if None in one.shape:
        raise Rejected(
            "inputs_unknown",
            f"The graph leaves open the size of a row of its input {shown(one.name)!r}.",
            _EXPORT_AGAIN,
        )
    return [size for size in one.shape if size is not None]
