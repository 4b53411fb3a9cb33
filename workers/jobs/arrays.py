"""Arrays in a job's file, on their way into a model host."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from shared.catalog.verdict import Column, Datatype, Layout, Signature
from shared.jobs.errors import ColumnsDoNotFit, UnreadableInput
from shared.predictions.arrow_arrays import ArrayUnfit, flattened
from shared.predictions.tensors import Buffer, elements, pack_texts, padding, row_bytes
from shared.predictions.values import FLOATS
from workers.jobs.coercion import coerced_column

_CALL_BYTES = 32 * 1024 * 1024  # of the arrays of one call; two are under way at a time


def rows_at_once(signature: Signature, rows: int) -> int:
    """How many of `rows` rows may make one call."""
    if signature.layout is not Layout.TENSORS:
        return rows
    return max(1, min(rows, _CALL_BYTES // max(1, row_bytes(signature.inputs))))


def refuse_arrays_in_csv(signature: Signature) -> None:
    """CSV has no arrays.

    Raises:
        ColumnsDoNotFit: the model takes some.
    """
    for column in signature.inputs:
        if column.shape:
            raise ColumnsDoNotFit(
                f"the model takes arrays of shape {column.shape} in {column.name!r}, which CSV cannot hold:"
                " send a Parquet file with a column of lists, or JSON Lines",
                column=column.name,
            )


def array_column(given: pa.Array, wanted: Column, *, first_row: int) -> pa.Array:
    """The values of each row in one list of fixed size, in the model's type; of a scalar, the values.

    Raises:
        UnreadableInput: an array does not fit: its shape, or a value in it.
    """
    try:
        flat = flattened(given, wanted)
    except ArrayUnfit as error:
        raise UnreadableInput(str(error), row=first_row + error.row, column=wanted.name) from None
    size = elements(wanted)
    try:
        values = coerced_column(flat, wanted.datatype, name=wanted.name, first_row=0)
    except UnreadableInput as error:
        row = first_row + (error.row or 0) // size
        raise UnreadableInput(str(error), row=row, column=wanted.name) from None
    refuse_gaps(values, wanted, first_row=first_row)
    return pa.FixedSizeListArray.from_arrays(values, size) if wanted.shape else values


def refuse_gaps(values: pa.Array | pa.ChunkedArray, wanted: Column, *, first_row: int) -> None:
    """In arrays nothing but a float can be missing.

    Raises:
        UnreadableInput: something else is.
    """
    if not values.null_count or wanted.datatype in FLOATS:
        return
    row = int(np.flatnonzero(np.asarray(values.is_null()))[0]) // elements(wanted)
    message = f"a value is missing, which a {wanted.datatype} cannot be here"
    raise UnreadableInput(message, row=first_row + row, column=wanted.name)


def packed_arrays(table: pa.Table, columns: Sequence[Column]) -> list[Buffer]:
    """The columns in the form that travels, a buffer a piece."""
    pieces: list[Buffer] = []
    for column in columns:
        values = table[column.name].combine_chunks()
        flat = values.flatten() if column.shape else values
        if column.datatype is Datatype.BYTES:
            pieces.append(pack_texts(flat.to_pylist()))
            continue
        raw = np.ascontiguousarray(flat.to_numpy(zero_copy_only=False)).view(np.uint8).data
        pieces += [raw, padding(len(raw))]
    return pieces
