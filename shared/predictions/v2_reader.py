"""From an inference request of the Open Inference Protocol to the bytes that a model host reads.

Rows come as one tensor of shape [rows, columns], in the model's order, or as a tensor a column, of shape
[rows] or [rows, 1], by name. A model of arrays takes a tensor an input, of shape [rows, *its shape].
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from shared.catalog.verdict import Signature
from shared.errors import InvalidInput
from shared.json_body import decode_json_as
from shared.predictions.array_columns import pack_arrays
from shared.predictions.columns import ColumnReader, Values
from shared.predictions.predict_body import PredictBody, V2Asked, V2Output
from shared.predictions.rows import ReadRows
from shared.predictions.v2_request import InferenceRequest, RequestedOutput, RequestParameters, Tensor
from shared.predictions.v2_tensors import (
    BYTES,
    DTYPES,
    MAX_DIMENSIONS,
    mismatch,
    split_header,
    tensor_values,
)

# How servers of the protocol for scikit-learn call the outputs.
_ALIASES: Final = {
    "predict": "label",
    "predict_proba": "probabilities",
    "decision_function": "scores",
    "score_samples": "scores",
    "transform": "transformed",
}
_ON_REQUEST: Final = frozenset({"scores", "transformed"})  # cost as much again, and few want them


class V2Reader:
    """Reads inference requests for one signature. Threads may share it."""

    def __init__(self, signature: Signature, *, refuse_extra: bool = False) -> None:
        """Args: refuse_extra: columns that the model does not know are refused, not ignored."""
        self._columns = ColumnReader(signature, refuse_extra=refuse_extra)
        self._most_dimensions = max(MAX_DIMENSIONS, *(1 + len(column.shape) for column in signature.inputs))
        self._outputs = [output.name for output in signature.outputs]

    def read(self, body: bytes, header_bytes: int | None, *, version: int | None = None) -> PredictBody:
        """Everything that a request says.

        Args:
            header_bytes: how many of the body's bytes are JSON; None: all.

        Raises:
            MalformedJson, InvalidInput, TensorMismatch, InputMismatch: it cannot be answered; says why.
        """
        text, binary = split_header(body, len(body) if header_bytes is None else header_bytes)
        asked = decode_json_as(_decoder, text)
        for tensor in asked.inputs:
            _check(tensor, most_dimensions=self._most_dimensions)
        values = tensor_values(asked.inputs, binary)
        outputs = tuple(self._output(output, asked.parameters) for output in self._wanted(asked))
        return PredictBody(
            self._rows(asked.inputs, values),
            False,
            asked.version if version is None else version,
            tuple(dict.fromkeys(output.source for output in outputs)),
            asked.parameters.key,
            V2Asked(asked.id, outputs),
        )

    def _rows(self, tensors: Sequence[Tensor], values: list[Values]) -> ReadRows:
        if self._columns.is_tensors:
            return self._arrays(tensors, values)
        first = tensors[0]
        if len(tensors) == 1 and len(first.shape) == MAX_DIMENSIONS and first.shape[1] == self._columns.width:
            return ReadRows(self._in_order(first, values[0]), first.shape[0])
        for tensor in tensors:
            self._check_column(tensor, rows=first.shape[0], alone=len(tensors) == 1)
        matched = self._columns.match([tensor.name for tensor in tensors])
        packed = self._columns.pack([values[at] for at in matched.positions])
        return ReadRows(packed, first.shape[0], matched.warnings)

    def _arrays(self, tensors: Sequence[Tensor], values: list[Values]) -> ReadRows:
        """Each tensor has all rows of one input."""
        rows = tensors[0].shape[0]
        matched = self._columns.match([tensor.name for tensor in tensors])
        for at, column in zip(matched.positions, self._columns.columns, strict=True):
            shape = [rows, *column.shape]
            if tensors[at].shape != shape and (column.shape or tensors[at].shape != [rows, 1]):
                wanted = ", ".join(["rows", *map(str, column.shape)])
                raise mismatch(tensors[at], f"its shape is {tensors[at].shape}; the model takes [{wanted}]")
        packed = pack_arrays(self._columns.columns, [values[at] for at in matched.positions], rows)
        return ReadRows(packed, rows, matched.warnings)

    def _in_order(self, tensor: Tensor, values: Values) -> bytes:
        """One tensor that holds all columns."""
        if isinstance(values, list):
            return self._columns.pack(
                [values[at :: self._columns.width] for at in range(self._columns.width)]
            )
        return self._columns.pack_matrix(values.reshape(tensor.shape))

    def _check_column(self, tensor: Tensor, *, rows: int, alone: bool) -> None:
        if tensor.shape not in ([tensor.shape[0]], [tensor.shape[0], 1]):
            whole = f", or [rows, {self._columns.width}] for all of them" * alone
            raise mismatch(tensor, f"its shape is {tensor.shape}; one column has [rows] or [rows, 1]{whole}")
        if tensor.shape[0] != rows:
            raise mismatch(tensor, f"it has {tensor.shape[0]} rows, and the first tensor {rows}")

    def _wanted(self, asked: InferenceRequest) -> list[RequestedOutput]:
        """The outputs named; if none is, by the protocol all that the model has, but for those on request."""
        main, *further = self._outputs
        return asked.outputs or [
            RequestedOutput(name) for name in (main, *further) if name is main or name not in _ON_REQUEST
        ]

    def _output(self, output: RequestedOutput, parameters: RequestParameters) -> V2Output:
        source = output.name if output.name in self._outputs else _ALIASES.get(output.name, "")
        if source not in self._outputs:
            raise InvalidInput(
                f"the model has no output {output.name[:100]!r}; it has {', '.join(self._outputs)}"
            )
        if output.parameters.classification:
            raise InvalidInput("the classification extension is not offered: ask for `probabilities`")
        binary = output.parameters.binary_data
        return V2Output(output.name, source, parameters.binary_data_output if binary is None else binary)


def _check(tensor: Tensor, *, most_dimensions: int) -> None:
    """Refuse shapes and datatypes that no model here takes."""
    if tensor.datatype != BYTES and tensor.datatype not in DTYPES:
        raise mismatch(
            tensor, f"the datatype {tensor.datatype[:40]!r} is none of {', '.join([*DTYPES, BYTES])}"
        )
    if not 1 <= len(tensor.shape) <= most_dimensions:
        raise mismatch(tensor, f"it has {len(tensor.shape)} dimensions; rows have 1 to {most_dimensions}")


_decoder = msgspec.json.Decoder(InferenceRequest)
