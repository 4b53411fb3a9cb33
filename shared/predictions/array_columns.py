"""From whole columns of arrays, as Arrow and tensors have them, to the form in which they travel."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.catalog.verdict import Column, Datatype
from shared.errors import FieldError
from shared.predictions.columns import Values, canonical_floats
from shared.predictions.rows import MAX_ERRORS, InputMismatch
from shared.predictions.tensors import check_size, elements, pack_column, padded, required
from shared.predictions.values import EXACT, INT64_MAX, fault_of

_SINGLE = np.dtype("<f4")


def pack_arrays(columns: Sequence[Column], arrays: Sequence[Values], rows: int) -> bytes:
    """Put arrays, given in the model's order, into the form that travels.

    Args:
        arrays: the values of each column in one dimension, row after row.

    Raises:
        InputMismatch: there are no rows, or values that do not fit; says for each the column and the row.
        TooLarge: they are too much for one request.
    """
    if not rows:
        raise InputMismatch("there are no rows: send at least one")
    check_size(columns, rows)
    packed: list[bytes] = []
    faults: list[FieldError] = []
    for column, values in zip(columns, arrays, strict=True):
        try:
            packed.append(_packed(column.datatype, values))
        except (TypeError, OverflowError):
            faults += _faults(column, values)
    if faults:
        raise InputMismatch("the values do not fit the model's inputs", faults[:MAX_ERRORS])
    return b"".join(packed)


def _packed(datatype: Datatype, values: Values) -> bytes:
    if isinstance(values, list):
        return pack_column(datatype, list(map(required(datatype), values)))
    return padded(_typed(datatype, values).tobytes())


def _typed(datatype: Datatype, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """The values in the model's type.

    Raises:
        TypeError, OverflowError: one of them does not fit.
    """
    kind = values.dtype.kind
    if datatype is Datatype.FP64 and kind in "iufb":
        return canonical_floats(values)
    if datatype is Datatype.FP32 and kind in "iufb":
        return _singles(values)
    if datatype is Datatype.INT64 and kind in "iufb":
        return _whole(values)
    if datatype is Datatype.BOOL and kind == "b":
        return values
    raise TypeError(f"{values.dtype} is no {datatype}")


def _singles(values: NDArray[np.generic]) -> NDArray[np.float32]:
    if values.dtype == _SINGLE:
        singles = np.ascontiguousarray(values, _SINGLE)
    else:
        wide = np.ascontiguousarray(values, "<f8")
        with np.errstate(over="ignore"):
            singles = wide.astype(_SINGLE)
        if (np.isinf(singles) & np.isfinite(wide)).any():
            raise OverflowError
    missing = np.isnan(singles)
    return np.where(missing, _SINGLE.type(np.nan), singles) if missing.any() else singles


def _whole(values: NDArray[np.generic]) -> NDArray[np.int64]:
    if values.dtype.kind == "f":
        floats = values.astype("<f8")
        if not (np.abs(floats) <= EXACT).all() or (np.trunc(floats) != floats).any():
            raise TypeError
    elif values.dtype.kind == "u" and len(values) and int(values.max()) > INT64_MAX:
        raise OverflowError
    return np.ascontiguousarray(values, "<i8")


def _faults(column: Column, values: Values) -> list[FieldError]:
    """The values of one column that do not fit, up to a number that can still be read."""
    rule, size = required(column.datatype), elements(column)
    faults: list[FieldError] = []
    for number, value in enumerate(values if isinstance(values, list) else values.tolist()):
        fault = fault_of(rule, value)
        if fault is not None:
            row, place = divmod(number, size)
            at = [int(part) for part in np.unravel_index(place, column.shape)] if column.shape else []
            message = f"at {at}: {fault}" if at else fault
            faults.append(FieldError(message=message, column=column.name, row=row))
        if len(faults) == MAX_ERRORS:
            break
    return faults
