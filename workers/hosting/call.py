"""One call of a model, and its answer."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from workers.host.protocol import Buffer


class SlotInput(msgspec.Struct, frozen=True):
    """The caller has written the rows into the area that `slot()` gave.

    Attributes:
        kind: `matrix`: float64, row after row; `arrow`: an IPC stream with the signature's columns, by name;
            `tensors`: the arrays of one input after those of the other, as they travel.
    """

    kind: Literal["matrix", "arrow", "tensors"]
    size_bytes: int


class PredictCall(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows to predict, given in exactly one of four ways.

    Attributes:
        outputs: of the signature's, which are wanted; None: the main one.
        matrix: little-endian float64, row after row, in as many buffers as they came in (layout MATRIX).
        columns: one list a column, in the signature's order; None is a missing value (layout TABLE).
        tensors: arrays as they travel, in as many buffers as they came in (layout TENSORS).
        slot: rows that lie in shared memory already.
        reply_as: `values`: Python lists; `arrays`: numbers as numpy arrays, text as lists.
    """

    rows: int
    outputs: Sequence[str] | None = None
    matrix: Sequence[Buffer] | None = None
    columns: Sequence[Sequence[Any]] | None = None
    tensors: Sequence[Buffer] | None = None
    slot: SlotInput | None = None
    reply_as: Literal["values", "arrays"] = "values"


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs by name, each with one entry a row, and how long the model took."""

    outputs: dict[str, list[Any] | NDArray[np.generic]]
    compute_ns: int
