"""Answers of the Open Inference Protocol: JSON, with raw tensors behind it where they were asked for."""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import msgspec

from shared.catalog.verdict import Datatype, Output, Signature
from shared.predictions.numbers import write_json
from shared.predictions.predict_body import V2Asked

HEADER: Final = "Inference-Header-Content-Length"

_PACKED: Final = {Datatype.FP64: "d", Datatype.FP32: "f", Datatype.INT64: "q", Datatype.BOOL: "?"}


class V2Tensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """One output."""

    name: str
    shape: list[int]
    datatype: Datatype
    parameters: dict[str, int] | None = None
    data: list[Any] | None = None


class V2Response(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON of an answer."""

    model_name: str
    model_version: str
    outputs: list[V2Tensor]
    id: str | None = None
    parameters: dict[str, str] | None = None


class V2Answer(msgspec.Struct, frozen=True):
    """The body of an answer.

    Attributes:
        header_bytes: how many of its bytes are JSON, for the header `Inference-Header-Content-Length`;
            None: all are, and there is no such header.
    """

    body: bytes
    header_bytes: int | None

    @property
    def content_type(self) -> bytes:
        """That of the whole."""
        return b"application/json" if self.header_bytes is None else b"application/octet-stream"


def encode_answer(
    outputs: Mapping[str, list[Any]],
    asked: V2Asked,
    *,
    signature: Signature,
    model: str,
    version: int,
    warnings: Sequence[str] = (),
) -> V2Answer:
    """Answer with the outputs that were asked for.

    Args:
        outputs: by the model's names, each a list with an item a row.
    """
    known = {output.name: output for output in signature.outputs}
    tensors, raws = [], []
    for wanted in asked.outputs:
        tensor, raw = _tensor(wanted.name, known[wanted.source], outputs[wanted.source], binary=wanted.binary)
        tensors.append(tensor)
        raws.append(raw)
    parameters = {"warnings": "; ".join(warnings)} if warnings else None
    header = write_json(V2Response(model, str(version), tensors, asked.id, parameters))
    binary = b"".join(raws)
    any_binary = any(wanted.binary for wanted in asked.outputs)
    return V2Answer(header + binary, len(header) if any_binary else None)


def _tensor(name: str, output: Output, rows: list[Any], *, binary: bool) -> tuple[V2Tensor, bytes]:
    shape = [len(rows), *output.shape]
    flat = _flat(rows, len(output.shape))
    if output.datatype is Datatype.BYTES:
        flat = [value if isinstance(value, str) else str(value) for value in flat]
    if not binary:
        return V2Tensor(name, shape, output.datatype, data=flat), b""
    raw = _texts(flat) if output.datatype is Datatype.BYTES else _numbers(flat, output.datatype)
    return V2Tensor(name, shape, output.datatype, parameters={"binary_data_size": len(raw)}), raw


def _flat(rows: list[Any], dimensions: int) -> list[Any]:
    """Row by row, as the protocol wants its elements."""
    for _ in range(dimensions):
        rows = list(chain.from_iterable(rows))
    return rows


def _numbers(flat: Sequence[Any], datatype: Datatype) -> bytes:
    values = [math.nan if value is None else value for value in flat]
    return struct.pack(f"<{len(flat)}{_PACKED[datatype]}", *values)


def _texts(flat: Iterable[str]) -> bytes:
    """Each text behind its length in four bytes."""
    encoded = [text.encode() for text in flat]
    return b"".join(chain.from_iterable((struct.pack("<I", len(text)), text) for text in encoded))
