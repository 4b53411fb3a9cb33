"""Inference requests of the Open Inference Protocol, as far as they are JSON.

Source: the protocol's "Inference" section, and its binary tensor data extension.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.predictions.predict_body import OUTPUTS_MAX, StickyKey, VersionNumber


class TensorParameters(msgspec.Struct, frozen=True):
    """What a tensor says of itself; other parameters are not ours to know."""

    binary_data_size: Annotated[int, Meta(ge=0)] | None = None


class Tensor(msgspec.Struct, frozen=True):
    """A tensor of a request, without the bytes that may follow the JSON."""

    name: str
    shape: list[Annotated[int, Meta(ge=0)]]
    datatype: str
    parameters: TensorParameters = TensorParameters()
    data: list[Any] | UnsetType = UNSET


class OutputParameters(msgspec.Struct, frozen=True):
    """How an output is wanted."""

    binary_data: bool | None = None
    classification: int = 0


class RequestedOutput(msgspec.Struct, frozen=True):
    """An output that is wanted."""

    name: str
    parameters: OutputParameters = OutputParameters()


class RequestParameters(msgspec.Struct, frozen=True):
    """What is wanted of the whole: all outputs as raw bytes; our own `key`."""

    binary_data_output: bool = False
    key: StickyKey | None = None


class InferenceRequest(msgspec.Struct, frozen=True):
    """The JSON of a request."""

    inputs: Annotated[list[Tensor], Meta(min_length=1)]
    id: Annotated[str, Meta(max_length=256)] | None = None
    outputs: Annotated[list[RequestedOutput], Meta(max_length=OUTPUTS_MAX)] | None = None
    parameters: RequestParameters = RequestParameters()
    version: VersionNumber | None = None  # ours: the protocol has it in the path


class _TensorLike(msgspec.Struct):
    """What no row of a model's columns looks like by accident."""

    name: str
    shape: list[int]
    datatype: str


class _RequestLike(msgspec.Struct):
    inputs: Annotated[list[_TensorLike], Meta(min_length=1)]


_like = msgspec.json.Decoder(_RequestLike)


def is_v2(body: bytes) -> bool:
    """Whether a JSON body that is no rows of a model is an inference request of the protocol."""
    try:
        _like.decode(body)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return False
    return True
