"""How values of each datatype look: in arrays, in examples, and in what a model answers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.catalog.verdict import Datatype, Output
from workers.host.rejection import Rejected
from workers.host.replies import plain

DTYPES: dict[Datatype, Any] = {
    Datatype.FP64: np.float64,
    Datatype.FP32: np.float32,
    Datatype.INT64: np.int64,
    Datatype.BOOL: np.bool_,
    Datatype.BYTES: object,
}
EXAMPLES: dict[Datatype, Any] = {
    Datatype.FP64: 0.0,
    Datatype.FP32: 0.0,
    Datatype.INT64: 0,
    Datatype.BOOL: False,
    Datatype.BYTES: "",
}
_KINDS = {
    "f": Datatype.FP64,
    "i": Datatype.INT64,
    "u": Datatype.INT64,
    "b": Datatype.BOOL,
    "O": Datatype.BYTES,
    "U": Datatype.BYTES,
    "S": Datatype.BYTES,
}
_HALF_BYTES = 4  # of a 32-bit float
_MOST_DIMENSIONS = 4  # of an answer's row


def datatype_of(values: NDArray[Any]) -> Datatype:
    """The type that they are answered in: of objects and dates, that of the first, told.

    Raises:
        Rejected: complex numbers, dates: nothing that an answer can carry.
    """
    if values.dtype.kind in "OM" and values.size:
        values = np.asarray(plain(values.reshape(-1)[:1])[0])
    datatype = _KINDS.get(values.dtype.kind)
    if datatype is None:
        raise Rejected(
            "datatype_unsupported",
            f"The model takes or gives values of the type {values.dtype}.",
            "Save a model whose inputs and outputs are numbers, booleans or text.",
        )
    return datatype


def tensor_datatype(values: NDArray[Any]) -> Datatype:
    """The type that an input of such tensors takes: floats of 32 bits travel in half the bytes."""
    narrow = values.dtype.kind == "f" and values.dtype.itemsize <= _HALF_BYTES
    return Datatype.FP32 if narrow else datatype_of(values)


def output_of(name: str, values: NDArray[Any], *, most_dimensions: int = _MOST_DIMENSIONS) -> Output:
    """How an output is described that was seen to look like this.

    Raises:
        Rejected: a row of it has too many dimensions.
    """
    shape = list(values.shape[1:])
    if len(shape) > most_dimensions:
        raise Rejected(
            "output_unsupported",
            f"The model's {name} is an array of {' x '.join(map(str, shape))} for each row.",
            f"Save a model whose outputs have up to {most_dimensions} dimensions a row.",
        )
    return Output(name=name, datatype=datatype_of(values), shape=shape)
