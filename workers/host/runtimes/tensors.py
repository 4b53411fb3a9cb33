"""Models of tensors, whatever library computes them: what they take, row by row, and how to call them."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.catalog.verdict import Column, Datatype, Signature
from workers.host.rejection import Rejected
from workers.host.rows import Tensors
from workers.host.runtimes.values import tensor_datatype

WIDEST_MATRIX = 1024  # columns; one input of more numbers a row is a tensor
_LONGEST_EXAMPLE = 4096  # numbers that are worth to be shown

Call = Callable[[Tensors], Tensors]


class TensorInput(msgspec.Struct, frozen=True, kw_only=True):
    """One input of a model.

    Attributes:
        dtype: as numpy names it; `object` is text.
        shape: of one row; None where the file does not say.
        example: a row that it takes; None: zeros.
        certain: the file says the dtype; otherwise a sample may show that it is another.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    example: NDArray[Any] | None = None
    certain: bool = True

    def row(self) -> NDArray[Any]:
        """A row to try the model on."""
        if self.example is not None:
            return self.example
        return np.full(self.shape or (), "" if self.dtype == "object" else 0, self.dtype)

    def column(self) -> Column:
        """It, as a signature says it."""
        row = self.row()
        example = row.tolist() if row.size <= _LONGEST_EXAMPLE else None
        return Column(
            name=self.name, datatype=tensor_datatype(row), shape=list(self.shape or ()), example=example
        )


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows a call takes.

    Attributes:
        most: None: any number.
        exact: no fewer than `most` either.
        alone: one row, without a dimension that counts rows.
    """

    most: int | None = None
    exact: bool = False
    alone: bool = False

    @property
    def warnings(self) -> list[str]:
        """For the model's owner."""
        if not self.exact:
            return []
        rows = "one row" if self.most == 1 else f"exactly {self.most} rows"
        slow = f"It was saved for {rows} a call, so that larger calls are slow"
        return [f"{slow}: save it with a dynamic first dimension."]


ANY_ROWS = Batch()


def call_in_batches(call: Call, inputs: Tensors, batch: Batch) -> Tensors:
    """Call it as often as it takes to answer all rows.

    Raises:
        ValueError: its first output has other than one entry a row.
    """
    rows = len(next(iter(inputs.values())))
    if batch.most is None or (rows <= batch.most and not batch.exact):
        return _by_row(call(inputs), rows)
    starts = range(0, rows, batch.most)
    parts = [_call_part(call, _part(inputs, start, batch), batch) for start in starts]
    return {name: np.concatenate([part[name] for part in parts])[:rows] for name in parts[0]}


def is_matrix(inputs: list[TensorInput]) -> bool:
    """Whether its rows are rows of a plain table of floats."""
    if len(inputs) != 1 or inputs[0].shape is None:
        return False
    shape = inputs[0].shape
    return np.dtype(inputs[0].dtype).kind == "f" and len(shape) <= 1 and 0 < prod(shape) <= WIDEST_MATRIX


def known_inputs(signature: Signature, inputs: list[TensorInput]) -> list[TensorInput]:
    """The inputs with the shapes that an earlier verdict found."""
    if len(signature.inputs) != len(inputs) or is_matrix(inputs):
        return inputs
    return [
        msgspec.structs.replace(one, shape=tuple(column.shape), dtype=_known_dtype(one, column))
        for one, column in zip(inputs, signature.inputs, strict=True)
    ]


def batch_of(firsts: Sequence[int | None], answered: int | None, *, most: int | None = None) -> Batch:
    """How a model is called, by the first dimensions of its inputs and of its main output; None: any.

    Raises:
        Rejected: some are fixed and some are not.
    """
    fixed = {first for first in firsts if first is not None}
    if not fixed:
        return Batch(most=most)
    if None in firsts:
        raise Rejected(
            "batch_unclear",
            "Only some of the model's inputs have a first dimension of any length.",
            "Save it with the first dimension of every input dynamic: it counts the rows.",
        )
    if fixed == {answered}:
        return Batch(most=answered, exact=True)
    return Batch(most=1, exact=True, alone=True)


def _known_dtype(one: TensorInput, column: Column) -> str:
    return "int64" if not one.certain and column.datatype is Datatype.INT64 else one.dtype


def _part(inputs: Tensors, start: int, batch: Batch) -> Tensors:
    size = batch.most or 1
    parts = {name: values[start : start + size] for name, values in inputs.items()}
    missing = size - len(next(iter(parts.values())))
    if not batch.exact or not missing:
        return parts
    return {name: np.concatenate([part, np.repeat(part[-1:], missing, 0)]) for name, part in parts.items()}


def _call_part(call: Call, part: Tensors, batch: Batch) -> Tensors:
    if not batch.alone:
        return _by_row(call(part), len(next(iter(part.values()))))
    outputs = call({name: values[0] for name, values in part.items()})
    return {name: output[np.newaxis] for name, output in outputs.items()}


def _by_row(outputs: Tensors, rows: int) -> Tensors:
    """The first output, which must have one entry a row, and those others that have."""
    first = next(iter(outputs.values()))
    if first.shape[:1] != (rows,):
        raise ValueError(f"the model answered the shape {list(first.shape)} where {rows} rows were given")
    return {name: output for name, output in outputs.items() if output.shape[:1] == (rows,)}
