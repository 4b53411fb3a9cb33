"""A loaded model of tensors: its signature, found by looking and by trying, and its predictions."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.catalog.verdict import Column, Datatype, Layout, Output, Signature
from workers.host.rows import Rows, Tensors, row_count, rows_at
from workers.host.runtimes.library_model import LABEL, Facts, LibraryModel, probe_failed
from workers.host.runtimes.runtime import Description
from workers.host.runtimes.tensor_sample import sampled
from workers.host.runtimes.tensors import (
    ANY_ROWS,
    Batch,
    Call,
    TensorInput,
    call_in_batches,
    is_matrix,
    known_inputs,
)
from workers.host.runtimes.values import output_of

_RESERVED = (LABEL, "probabilities")  # their meaning is fixed


class TensorModel(LibraryModel):
    """Predicts by a function of arrays."""

    def __init__(
        self, facts: Facts, call: Call, fitted: Any, *, inputs: list[TensorInput], batch: Batch = ANY_ROWS
    ) -> None:
        super().__init__(facts, fitted)
        self.warnings = [*facts.warnings, *batch.warnings]
        self._call, self._inputs, self._batch = call, inputs, batch
        self._seen: set[str] = set()  # outputs of any shape

    def describe(self, sample: pd.DataFrame | None) -> Description:
        """Its inputs as the file or the sample says, its outputs as a first call shows them."""
        tensors, names, outputs = self._tried(sample)
        signature = Signature(
            inputs=self._columns(names),
            named=names is not None or not is_matrix(self._inputs),
            layout=Layout.MATRIX if is_matrix(self._inputs) else Layout.TENSORS,
            outputs=outputs,
        )
        rows: Rows = _as_matrix(tensors) if signature.layout is Layout.MATRIX else tensors
        return Description(signature=signature, rows=rows, warnings=self._warnings(signature, names))

    def accept(self, signature: Signature) -> None:
        """Remember the shapes, which the file itself may not say."""
        if signature.layout is Layout.MATRIX:
            first = self._inputs[0]
            shape = first.shape if first.shape is not None else (len(signature.inputs),)
            self._inputs = [msgspec.structs.replace(first, shape=shape)]
        else:
            self._inputs = known_inputs(signature, self._inputs)

    def predict(self, rows: Rows, outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The outputs asked for."""
        answers = self._answers(self._tensors(rows))
        return {name: answers[name] for name in outputs}

    def _tensors(self, rows: Rows) -> Tensors:
        if isinstance(rows, dict):
            given: dict[str, Any] = rows
        else:
            given = {self._inputs[0].name: np.asarray(rows)}
        count = row_count(rows)
        return {
            one.name: np.asarray(given[one.name], one.dtype).reshape(count, *(one.shape or ()))
            for one in self._inputs
        }

    def _answers(self, tensors: Tensors) -> Tensors:
        answers = call_in_batches(self._noted, tensors, self._batch)
        first = next(iter(answers))
        return {LABEL: answers[first]} | {
            f"output_{name}" if name in _RESERVED else name: answer
            for name, answer in answers.items()
            if name != first
        }

    def _noted(self, tensors: Tensors) -> Tensors:
        answers = self._call(tensors)
        self._seen.update(answers)
        return answers

    def _tried(self, sample: pd.DataFrame | None) -> tuple[Tensors, list[str] | None, list[Output]]:
        """Rows that it answers, the names of their columns, and the outputs."""
        stated = self._inputs
        self._inputs, tensors, names = sampled(stated, sample)
        try:
            return tensors, names, self._outputs(tensors)
        except Exception as error:
            integers = [_as_integer(one) for one in stated]
            if integers == stated:
                raise probe_failed(error, sampled=sample is not None) from error
        self._inputs = integers
        return self._tried(sample)

    def _outputs(self, tensors: Tensors) -> list[Output]:
        """Tried on some more rows than there are, so that a dimension which counts none is seen."""
        answers = self._answers(rows_at(tensors, [*range(row_count(tensors)), 0, 0]))
        return [output_of(name, answer) for name, answer in answers.items()]

    def _columns(self, names: list[str] | None) -> list[Column]:
        if not is_matrix(self._inputs):
            return [one.column() for one in self._inputs]
        values = self._inputs[0].row().reshape(-1).astype(float).tolist()
        shown_names = names or [f"x{at}" for at in range(len(values))]
        return [
            Column(name=name, datatype=Datatype.FP64, example=value)
            for name, value in zip(shown_names, values, strict=True)
        ]

    def _warnings(self, signature: Signature, names: list[str] | None) -> list[str]:
        warnings = []
        if signature.layout is Layout.MATRIX and len(signature.inputs) > 1 and names is None:
            warnings.append("The model knows no column names: values count by their order.")
        if len(self._seen) > len(signature.outputs):
            warnings.append("Some of its outputs are not offered: they have not one entry a row.")
        return warnings


def _as_matrix(tensors: Tensors) -> NDArray[np.float64]:
    values = next(iter(tensors.values()))
    return np.asarray(values, np.float64).reshape(len(values), -1)


def _as_integer(one: TensorInput) -> TensorInput:
    """Where the file does not say what it takes: indexes, as embeddings want them."""
    return one if one.certain else msgspec.structs.replace(one, dtype="int64", certain=True)
